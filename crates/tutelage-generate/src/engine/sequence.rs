//! One sample of one request, on its way.

use std::sync::Arc;

use tutelage_run::Hash;
use tutelage_tensor::kernels::attention::PAGE;
use tutelage_token::Decoder as TextDecoder;

use crate::constraint::Verdict;
use crate::pages::{PageTable, prefixes};
use crate::sampling::{Sampler, token_logprobs};
use crate::stop::StopText;
use crate::{Constraint, GenerateError, Generator, Request, RequestId, TokenLogprobs};

/// A token that was drawn.
#[derive(Debug, Clone)]
pub(super) struct Drawn {
    pub(super) id: u32,
    pub(super) logprobs: Option<TokenLogprobs>,
    pub(super) verdict: Verdict,
}

/// One sample of one request.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) id: RequestId,
    pub(super) sample: usize,
    pub(super) request: Arc<Request>,
    /// Prompt, then what was drawn.
    pub(super) ids: Vec<i32>,
    /// Tokens whose keys and values are stored.
    pub(super) n_stored: usize,
    /// The same in a draft model's cache.
    pub(super) n_drafted: usize,
    /// Tokens at the end of `ids` that were proposed and are not drawn.
    pub(super) n_proposed: usize,
    pub(super) pages: Vec<u32>,
    /// Pages given back because no window reaches them.
    n_forgotten: usize,
    /// Names of the prompt's whole pages.
    prefixes: Arc<[Hash]>,
    pub(super) n_published: usize,
    /// Pages set aside for it.
    pub(super) n_reserved: usize,
    pub(super) sampler: Sampler,
    pub(super) decoder: TextDecoder,
    pub(super) stop: StopText,
    pub(super) constraint: Option<Constraint>,
    pub(super) prompt_logprobs: Vec<crate::TokenLogprobs>,
    /// Sum of the prompt's hidden states so far, where their mean is wanted.
    pub(super) hidden_sum_d: Vec<f64>,
}

impl Sequence {
    /// The samples of a request.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub(super) fn of(id: RequestId, request: Request, generator: &Generator) -> Result<Vec<Self>, GenerateError> {
        let request = Arc::new(request);
        let rotated_by = generator.model().config().rotated_by(request.prompt.len());
        let prefixes: Arc<[Hash]> = prefixes(&request.prompt, rotated_by).into();
        let decoder = TextDecoder::after(generator.tokenizer(), &request.prompt)?;
        let one = |sample| Self {
            id,
            sample,
            ids: request.prompt.iter().map(|&id| id as i32).collect(),
            n_stored: 0,
            n_drafted: 0,
            n_proposed: 0,
            pages: Vec::new(),
            n_forgotten: 0,
            prefixes: Arc::clone(&prefixes),
            n_published: 0,
            n_reserved: 0,
            sampler: Sampler::new(request.sampling.clone(), sample, &request.prompt),
            decoder: decoder.clone(),
            stop: StopText::new(request.stop.clone()),
            constraint: request.constraint.clone(),
            prompt_logprobs: Vec::new(),
            hidden_sum_d: Vec::new(),
            request: Arc::clone(&request),
        };
        Ok((0..request.n_samples).map(one).collect())
    }

    pub(super) fn n_prompt(&self) -> usize {
        self.request.prompt.len()
    }

    pub(super) fn n_drawn(&self) -> usize {
        self.ids.len() - self.n_prompt()
    }

    /// Whether its prompt is not stored yet.
    pub(super) fn reads_prompt(&self) -> bool {
        self.n_stored < self.n_prompt()
    }

    /// Begins with what other prompts have left; the last token goes through the model in any case.
    pub(super) fn begin(&mut self, table: &mut PageTable) {
        // What is said of the whole prompt needs all of its rows.
        let needs_all = self.request.prompt_logprobs.is_some() || self.request.embeds;
        let most = if needs_all { 0 } else { (self.n_prompt() - 1) / PAGE };
        self.pages = table.shared(&self.prefixes[..most.min(self.prefixes.len())]);
        self.n_stored = self.pages.len() * PAGE;
        self.n_drafted = self.n_stored;
        self.n_published = self.pages.len();
    }

    /// Takes pages for so many more tokens.
    pub(super) fn grow(&mut self, n: usize, table: &mut PageTable) {
        while self.pages.len() * PAGE < self.n_stored + n {
            // There is a page for each that was set aside.
            let Some(page) = table.take() else { unreachable!("pages were reserved for this sequence") };
            self.pages.push(page);
        }
    }

    /// Counts tokens as stored; whole pages of the prompt can be shared then.
    pub(super) fn stored(&mut self, n: usize, table: &mut PageTable) {
        self.n_stored += n;
        while self.n_published < self.prefixes.len() && (self.n_published + 1) * PAGE <= self.n_stored {
            table.publish(self.pages[self.n_published], &self.prefixes[self.n_published]);
            self.n_published += 1;
        }
    }

    /// Gives back pages that no later token sees.
    pub(super) fn forget(&mut self, window: usize, table: &mut PageTable) {
        let first_seen = (self.n_stored + 1).saturating_sub(window) / PAGE;
        while self.n_forgotten < first_seen.min(self.pages.len()) {
            table.release(self.pages[self.n_forgotten]);
            self.n_forgotten += 1;
        }
    }

    /// Draws a token and says how likely it was, if that is wanted; nothing where the constraint has given up.
    fn draw(&mut self, logits_v: &[f32]) -> Option<Drawn> {
        let mut own_v = logits_v.to_vec();
        if let Some(constraint) = &mut self.constraint
            && constraint.mask(&mut own_v) == Verdict::Failed
        {
            return None;
        }
        let id = self.sampler.draw(&mut own_v);
        let verdict = self.constraint.as_mut().map_or(Verdict::Open, |constraint| constraint.push(id));
        let logprobs = self.request.logprobs.map(|n_top| token_logprobs(logits_v, id, n_top));
        Some(Drawn { id, logprobs, verdict })
    }

    /// Draws a token, and one more as long as it is what was proposed. The last is nothing where the constraint has given
    /// up. `row` gives the logits after the text so far, then those after each proposal.
    pub(super) fn draw_all<'l>(&mut self, proposed: &[i32], row: impl Fn(usize) -> &'l [f32]) -> Vec<Option<Drawn>> {
        let mut all = Vec::new();
        for at in 0..=proposed.len() {
            let drawn = self.draw(row(at));
            let goes_on = drawn.as_ref().is_some_and(|drawn| {
                drawn.verdict == Verdict::Open && proposed.get(at).is_some_and(|&id| id as u32 == drawn.id)
            });
            all.push(drawn);
            if !goes_on {
                break;
            }
        }
        all
    }

    /// Gives back all pages.
    pub(super) fn end(&mut self, table: &mut PageTable) {
        self.pages[self.n_forgotten..].iter().for_each(|&page| table.release(page));
        table.unreserve(self.n_reserved);
    }
}
