//! A step: a token for each text, and a part of the prompts that have come.

use std::ops::Range;

use tutelage_model::Part;
use tutelage_tensor::Tensor;
use tutelage_tensor::kernels::attention::PAGE;

use super::sequence::Drawn;
use super::{Engine, Sequence};
use crate::constraint::Verdict;
use crate::sampling::token_logprobs;
use crate::{Event, GenerateError, StopReason, TokenLogprobs};

/// Rows whose logits are in memory together.
const LOGIT_ROWS: usize = 64;

/// What of a sequence goes through the model in a step.
pub(super) struct Slice {
    /// Its tokens.
    pub(super) tokens: Range<usize>,
    pub(super) is_prompt: bool,
    /// First row of the batch.
    row: usize,
}

impl Slice {
    pub(super) fn part<'s>(&self, sequence: &'s Sequence) -> Part<'s> {
        Part {
            ids: &sequence.ids[self.tokens.clone()],
            first: self.tokens.start,
            len: if self.is_prompt { sequence.n_prompt() } else { self.tokens.end },
            pages: &sequence.pages,
            is_prompt: self.is_prompt,
        }
    }
}

/// A text whose next tokens are drawn.
struct Drawing<'s> {
    /// Which of those that run.
    at: usize,
    sequence: &'s mut Sequence,
    /// Rows of the batch: after the text so far, then after each proposal.
    rows: Range<usize>,
    proposed: Vec<i32>,
    drawn: Vec<Option<Drawn>>,
}

impl Engine {
    /// A token for each text that is being written, and a part of the prompts.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn step(&mut self) -> Result<Vec<Event>, GenerateError> {
        let generator = std::sync::Arc::clone(&self.generator);
        let device = generator.model().params().device().clone();
        device.enter(|| {
            self.admit();
            self.propose();
            let slices = self.slices();
            if slices.iter().all(|slice| slice.tokens.is_empty()) {
                return Ok(Vec::new());
            }
            let hidden = self.hidden(&slices);
            self.draft_prompts(&slices);
            self.continue_all(&slices, &hidden)
        })
    }

    /// Begins what there is room for, first come first served. Samples of a request wait for the prompt of the first.
    fn admit(&mut self) {
        let mut skipped = std::collections::VecDeque::new();
        while self.running.len() < self.limits.max_running {
            let Some(mut sequence) = self.waiting.pop_front() else { break };
            let of_it = |other: &Sequence| other.id == sequence.id && other.sample == 0;
            let waits = sequence.sample > 0 && self.running.iter().any(|other| of_it(other) && other.reads_prompt());
            if waits {
                skipped.push_back(sequence);
                continue;
            }
            sequence.n_reserved = self.pages_for(&sequence.request);
            if !self.pages.reserve(sequence.n_reserved) {
                self.waiting.push_front(sequence);
                break;
            }
            sequence.begin(&mut self.pages);
            self.running.push(sequence);
        }
        while let Some(sequence) = skipped.pop_back() {
            self.waiting.push_front(sequence);
        }
    }

    /// What each running sequence does; pages are taken for it.
    fn slices(&mut self) -> Vec<Slice> {
        let (mut left, mut row) = (self.limits.prompt_tokens, 0);
        let mut out = Vec::new();
        for sequence in &mut self.running {
            let first = sequence.n_stored;
            let is_prompt = sequence.reads_prompt();
            let n = match is_prompt {
                // Parts end at pages, unless they end the prompt.
                true => match (sequence.n_prompt() - first).min(left) {
                    n if first + n == sequence.n_prompt() => n,
                    n => n / PAGE * PAGE,
                },
                false => 1 + sequence.n_proposed,
            };
            if is_prompt {
                left -= n;
            }
            sequence.grow(n, &mut self.pages);
            out.push(Slice { tokens: first..first + n, is_prompt, row });
            row += n;
        }
        out
    }

    fn hidden(&mut self, slices: &[Slice]) -> Tensor {
        let parts: Vec<Part<'_>> = self
            .running
            .iter()
            .zip(slices)
            .filter(|(_, slice)| !slice.tokens.is_empty())
            .map(|(sequence, slice)| slice.part(sequence))
            .collect();
        self.generator.model().batch_hidden(&parts, &mut self.pool)
    }

    fn continue_all(&mut self, slices: &[Slice], hidden: &Tensor) -> Result<Vec<Event>, GenerateError> {
        let window = self.window();
        let mut events = Vec::new();
        let mut running = std::mem::take(&mut self.running);
        let mut reasons: Vec<Option<StopReason>> = running.iter().map(|_| None).collect();
        let mut drawings = Vec::new();
        for (at, (sequence, slice)) in running.iter_mut().zip(slices).enumerate() {
            if slice.tokens.is_empty() {
                continue;
            }
            // Of what was proposed, what is drawn counts as stored then.
            let n = slice.tokens.len() - sequence.n_proposed;
            sequence.stored(n, &mut self.pages);
            if slice.is_prompt && sequence.request.prompt_logprobs.is_some() && sequence.sample == 0 {
                self.prompt_logprobs(sequence, slice, hidden);
                if !sequence.reads_prompt() {
                    let logprobs = std::mem::take(&mut sequence.prompt_logprobs);
                    events.push(Event::Prompt { request: sequence.id, logprobs });
                }
            }
            if slice.is_prompt && sequence.request.embeds && sequence.sample == 0 {
                let rows: Vec<usize> = (slice.row..slice.row + slice.tokens.len()).collect();
                sum_rows(&mut sequence.hidden_sum_d, &hidden.rows(self.generator.model().params().device(), &rows));
                if !sequence.reads_prompt() {
                    let n = sequence.n_prompt() as f64;
                    let mean_d = sequence.hidden_sum_d.iter().map(|sum| (sum / n) as f32).collect();
                    events.push(Event::Embedding { request: sequence.id, mean_d });
                }
            }
            if let Some(window) = window {
                sequence.forget(window, &mut self.pages);
            }
            if !sequence.reads_prompt() && sequence.request.max_tokens > 0 {
                let proposed = sequence.ids.split_off(sequence.ids.len() - std::mem::take(&mut sequence.n_proposed));
                let first = slice.row + n - 1;
                let rows = first..first + 1 + proposed.len();
                drawings.push(Drawing { at, sequence, rows, proposed, drawn: Vec::new() });
            }
        }
        while !drawings.is_empty() {
            // As many as there is room for.
            let mut n_rows = 0;
            let fits = |one: &Drawing<'_>| {
                n_rows += one.rows.len();
                n_rows <= LOGIT_ROWS
            };
            let n = drawings.iter().map(fits).position(|fits| !fits).unwrap_or(drawings.len()).max(1);
            let rest = drawings.split_off(n);
            let rows: Vec<usize> = drawings.iter().flat_map(|one| one.rows.clone()).collect();
            let logits = self.generator.logits(hidden, &rows);
            let firsts = drawings.iter().scan(0, |row, one| Some(std::mem::replace(row, *row + one.rows.len())));
            let firsts: Vec<usize> = firsts.collect();
            // Each sequence has a random stream and a constraint of its own.
            let device = self.generator.model().params().device();
            device.for_each_block(&mut drawings, 1, |at, one| {
                let Drawing { sequence, proposed, drawn, .. } = &mut one[0];
                *drawn = sequence.draw_all(proposed, |row| logits.row(firsts[at] + row));
            });
            for one in std::mem::replace(&mut drawings, rest) {
                let at = one.at;
                reasons[at] = self.take_all(one, &mut events)?;
            }
        }
        for (mut sequence, reason) in running.into_iter().zip(reasons) {
            let looked_at = sequence.request.max_tokens == 0 && !sequence.reads_prompt();
            match reason.or(looked_at.then_some(StopReason::MaxTokens)) {
                None => self.running.push(sequence),
                Some(reason) => {
                    sequence.end(&mut self.pages);
                    events.push(self.done(&mut sequence, reason)?);
                }
            }
        }
        Ok(events)
    }

    /// Takes what was drawn; says why the text ends, if it does.
    fn take_all(&mut self, one: Drawing<'_>, events: &mut Vec<Event>) -> Result<Option<StopReason>, GenerateError> {
        let Drawing { sequence, proposed, drawn, .. } = one;
        let n_accepted = drawn.len().saturating_sub(1);
        if let Some(draft) = &mut self.draft {
            draft.stats.n_proposed += proposed.len() as u64;
            draft.stats.n_accepted += n_accepted as u64;
        }
        // What the draft model has stored of tokens that were not drawn is written over.
        sequence.n_drafted = sequence.n_drafted.min(sequence.ids.len() + n_accepted);
        for (at, drawn) in drawn.into_iter().enumerate() {
            // The first came after what was stored already; each further one after a proposal that was drawn.
            sequence.n_stored += usize::from(at > 0);
            let Some(drawn) = drawn else { return Ok(Some(StopReason::ConstraintFailed)) };
            let reason = self.take(sequence, drawn, events)?;
            if reason.is_some() {
                return Ok(reason);
            }
        }
        Ok(None)
    }

    fn prompt_logprobs(&self, sequence: &mut Sequence, slice: &Slice, hidden: &Tensor) {
        let n_top = sequence.request.prompt_logprobs.unwrap_or(0);
        // A row says how likely the next token is; what follows the last one is not of the prompt.
        let rows: Vec<usize> = slice.tokens.clone().filter(|at| at + 1 < sequence.n_prompt()).collect();
        for group in rows.chunks(LOGIT_ROWS) {
            let of_batch: Vec<usize> = group.iter().map(|at| slice.row + at - slice.tokens.start).collect();
            let logits = self.generator.logits(hidden, &of_batch);
            let first = sequence.prompt_logprobs.len();
            let nothing = TokenLogprobs { id: 0, logprob: 0.0, top: Vec::new() };
            sequence.prompt_logprobs.resize(first + group.len(), nothing);
            let device = self.generator.model().params().device();
            device.for_each_block(&mut sequence.prompt_logprobs[first..], 1, |at, one| {
                one[0] = token_logprobs(logits.row(at), sequence.ids[group[at] + 1] as u32, n_top);
            });
        }
    }

    /// Takes a token that was drawn; says why the text ends, if it does.
    fn take(
        &self,
        sequence: &mut Sequence,
        drawn: Drawn,
        events: &mut Vec<Event>,
    ) -> Result<Option<StopReason>, GenerateError> {
        let Drawn { id, logprobs, verdict } = drawn;
        if !sequence.request.ignores_end && self.generator.ends(id) {
            return Ok(Some(StopReason::EndOfDocument));
        }
        if sequence.request.stop_ids.contains(&id) {
            return Ok(Some(StopReason::Stop));
        }
        sequence.ids.push(id as i32);
        let text = sequence.decoder.push(self.generator.tokenizer(), id)?;
        let (text, met) = sequence.stop.push(&text);
        events.push(Event::Token { request: sequence.id, sample: sequence.sample, id, logprobs, text });
        Ok(if verdict == Verdict::Failed {
            Some(StopReason::ConstraintFailed)
        } else if met.is_some() {
            Some(StopReason::Stop)
        } else if verdict == Verdict::Complete {
            Some(StopReason::EndOfDocument)
        } else if sequence.n_drawn() == sequence.request.max_tokens {
            Some(StopReason::MaxTokens)
        } else if sequence.ids.len() == self.generator.model().config().n_positions() {
            Some(StopReason::ContextFull)
        } else {
            None
        })
    }

    /// The last event of a sample.
    pub(super) fn done(&self, sequence: &mut Sequence, reason: StopReason) -> Result<Event, GenerateError> {
        // After a stop string nothing more is shown.
        let text = match reason {
            StopReason::Stop => String::new(),
            _ => {
                let left = sequence.decoder.finish(self.generator.tokenizer())?;
                let (shown, met) = sequence.stop.push(&left);
                shown + &if met.is_none() { sequence.stop.finish() } else { String::new() }
            }
        };
        let (request, sample, n_tokens) = (sequence.id, sequence.sample, sequence.n_drawn());
        Ok(Event::Done { request, sample, reason, text, n_tokens })
    }
}

/// Adds rows, each value widened, in their order.
fn sum_rows(sum_d: &mut Vec<f64>, rows_td: &Tensor) {
    let (_, d_model) = rows_td.dims2();
    sum_d.resize(d_model, 0.0);
    for row_d in rows_td.to_vec().chunks_exact(d_model) {
        sum_d.iter_mut().zip(row_d).for_each(|(sum, &x)| *sum += f64::from(x));
    }
}
