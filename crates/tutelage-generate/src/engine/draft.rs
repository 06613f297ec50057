//! Speculative decoding: a smaller model proposes what comes next, and the model looks at all of it in one pass.
//!
//! The model draws each token as it would alone, with its own random numbers, and goes on as long as it draws what was
//! proposed. So a text is, to the bit, the one that is written without a draft; only the number of passes differs. (Rejection
//! sampling as in 2211.17192 accepts more of a drawn text, but writes another one.)

use std::sync::Arc;

use tutelage_model::Part;
use tutelage_tensor::kernels::attention::KvPool;

use super::step::Slice;
use super::{Engine, Sequence};
use crate::sampling::most_likely;
use crate::{GenerateError, Generator};

/// A draft model, whose keys and values lie in pages of the same numbers as the model's.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) generator: Arc<Generator>,
    pub(super) pool: KvPool,
    n_ahead: usize,
    pub(super) stats: SpeculationStats,
}

/// How well a draft model foretells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpeculationStats {
    /// Tokens that were proposed.
    pub n_proposed: u64,
    /// Of these, tokens that the model drew too.
    pub n_accepted: u64,
}

impl SpeculationStats {
    /// The share of proposals that were right.
    pub fn acceptance(&self) -> f64 {
        self.n_accepted as f64 / self.n_proposed.max(1) as f64
    }
}

impl Engine {
    /// Lets another model propose up to `n_ahead` tokens at a time.
    ///
    /// # Errors
    /// When its tokens are not the model's.
    pub fn with_draft(mut self, draft: Arc<Generator>, n_ahead: usize) -> Result<Self, GenerateError> {
        let (own, other) = (self.generator.spellings(), draft.spellings());
        if own != other {
            let at = own.iter().zip(other).position(|(a, b)| a != b).unwrap_or(own.len().min(other.len()));
            let found = format!(
                "the draft model's tokenizer is another one ({} entries where the model has {}; they differ from token {at} \
                 on); a draft must share the model's vocabulary",
                other.len(),
                own.len()
            );
            return Err(GenerateError::Request(found));
        }
        let pool = draft.model().new_pool(self.pages.n_pages());
        self.draft = Some(Draft { generator: draft, pool, n_ahead, stats: SpeculationStats::default() });
        Ok(self)
    }

    /// How well the draft model foretold so far, if there is one.
    pub fn speculation(&self) -> Option<SpeculationStats> {
        self.draft.as_ref().map(|draft| draft.stats)
    }

    /// Puts what the draft model would write behind each text that is being written; the model has not seen it yet.
    pub(super) fn propose(&mut self) {
        let Some(draft) = &mut self.draft else { return };
        let config = self.generator.model().config();
        let positions = config.n_positions().min(draft.generator.n_positions());
        let mut wanted = Vec::new();
        for sequence in &mut self.running {
            let most = match sequence.reads_prompt() {
                true => 0,
                // The token after the last proposal is drawn in any case.
                false => (sequence.request.max_tokens.saturating_sub(sequence.n_drawn() + 1))
                    .min(positions.saturating_sub(sequence.ids.len()))
                    .min(draft.n_ahead),
            };
            // Rows of one pass share the angles that a text's length decides.
            let n = sequence.ids.len();
            let most = (0..=most).rev().find(|k| config.rotated_by(n) == config.rotated_by(n + k)).unwrap_or(0);
            sequence.grow(1 + most, &mut self.pages);
            wanted.push(most);
        }
        for round in 0..wanted.iter().copied().max().unwrap_or(0) {
            let is_wanted = |at: usize| wanted[at] > round;
            let parts: Vec<Part<'_>> = (self.running.iter().enumerate())
                .filter(|(at, _)| is_wanted(*at))
                .map(|(_, sequence)| Part {
                    ids: &sequence.ids[sequence.n_drafted..],
                    first: sequence.n_drafted,
                    len: sequence.ids.len(),
                    pages: &sequence.pages,
                    is_prompt: false,
                })
                .collect();
            let last_rows = parts.iter().scan(0, |row, part| {
                *row += part.ids.len();
                Some(*row - 1)
            });
            let last_rows: Vec<usize> = last_rows.collect();
            let hidden = draft.generator.model().batch_hidden(&parts, &mut draft.pool);
            let logits = draft.generator.logits(&hidden, &last_rows);
            let drafted = self.running.iter_mut().enumerate().filter(|(at, _)| is_wanted(*at));
            for (row, (_, sequence)) in drafted.enumerate() {
                sequence.n_drafted = sequence.ids.len();
                sequence.ids.push(most_likely(logits.row(row)) as i32);
                sequence.n_proposed += 1;
            }
        }
    }

    /// Lets the draft model read the parts of prompts that the model reads.
    pub(super) fn draft_prompts(&mut self, slices: &[Slice]) {
        let Some(draft) = &mut self.draft else { return };
        let prompts = |(_, slice): &(&Sequence, &Slice)| slice.is_prompt && !slice.tokens.is_empty();
        let parts: Vec<Part<'_>> = (self.running.iter().zip(slices))
            .filter(prompts)
            .map(|(sequence, slice)| slice.part(sequence))
            .filter(|part| part.first + part.ids.len() <= draft.generator.n_positions())
            .collect();
        if !parts.is_empty() {
            draft.generator.model().batch_hidden(&parts, &mut draft.pool);
        }
        for (sequence, slice) in self.running.iter_mut().zip(slices) {
            if slice.is_prompt {
                sequence.n_drafted = slice.tokens.end;
            }
        }
    }
}
