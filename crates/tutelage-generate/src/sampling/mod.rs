//! How tokens are drawn.

mod draw;
mod logprobs;

pub(crate) use draw::{Sampler, most_likely};
pub use logprobs::TokenLogprobs;
pub(crate) use logprobs::token_logprobs;

use crate::GenerateError;

/// How tokens are drawn. What changes logits comes first: bias, then penalties; then temperature, and what is left out: by
/// top-k, top-p, min-p and typicality, in this order, each of what the one before left (as in transformers).
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Divides the logits; zero takes the most likely token always.
    pub temperature: f64,
    /// Only the most likely so many; zero for all.
    pub top_k: usize,
    /// Only the most likely that together reach this mass (1904.09751).
    pub top_p: f64,
    /// Only those at least so likely, in proportion to the most likely one (2407.01082); zero for all.
    pub min_p: f64,
    /// Only those whose surprise is nearest to the expected one and that together reach this mass (2202.00666); one for all.
    pub typical_p: f64,
    /// Divides positive logits of tokens of prompt and text, multiplies negative ones (1909.05858); one for none.
    pub repetition_penalty: f64,
    /// Is taken from the logits of tokens that were drawn.
    pub presence_penalty: f64,
    /// Is taken from the logits of tokens as often as they were drawn.
    pub frequency_penalty: f64,
    /// Is added to logits, by id.
    pub logit_bias: Vec<(u32, f64)>,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 0,
            top_p: 0.95,
            min_p: 0.0,
            typical_p: 1.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: 0,
        }
    }
}

impl Sampling {
    /// The most likely token, always.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, top_p: 1.0, ..Self::default() }
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// Names what is outside.
    pub fn validate(&self) -> Result<(), GenerateError> {
        let is_share = |x: f64| x > 0.0 && x <= 1.0;
        let any = |x: f64| x.is_finite();
        let rules = [
            ("temperature", self.temperature, any(self.temperature) && self.temperature >= 0.0, "zero or positive"),
            ("top_p", self.top_p, is_share(self.top_p), "above 0, at most 1"),
            ("min_p", self.min_p, (0.0..=1.0).contains(&self.min_p), "from 0 to 1"),
            ("typical_p", self.typical_p, is_share(self.typical_p), "above 0, at most 1"),
            (
                "repetition_penalty",
                self.repetition_penalty,
                any(self.repetition_penalty) && self.repetition_penalty > 0.0,
                "positive",
            ),
            ("presence_penalty", self.presence_penalty, any(self.presence_penalty), "a number"),
            ("frequency_penalty", self.frequency_penalty, any(self.frequency_penalty), "a number"),
        ];
        if let Some((name, value, _, rule)) = rules.into_iter().find(|(_, _, holds, _)| !holds) {
            return Err(GenerateError::Request(format!("{name} = {value}: must be {rule}")));
        }
        match self.logit_bias.iter().find(|(_, bias)| bias.is_nan() || *bias == f64::INFINITY) {
            Some((id, bias)) => Err(GenerateError::Request(format!("logit_bias of {id} = {bias}: must be a number"))),
            None => Ok(()),
        }
    }
}
