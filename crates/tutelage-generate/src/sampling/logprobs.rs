//! How likely tokens were.

use serde::Serialize;

/// How likely a token was, by the model alone: before bias, penalties and temperature.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenLogprobs {
    /// The token.
    pub id: u32,
    /// Its log-probability, in nats.
    pub logprob: f64,
    /// The most likely tokens and their log-probabilities, most likely first.
    pub top: Vec<(u32, f64)>,
}

/// The log-probability of `id` and of the `n_top` most likely tokens.
pub(crate) fn token_logprobs(logits_v: &[f32], id: u32, n_top: usize) -> TokenLogprobs {
    let max = logits_v.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits_v.iter().map(|&x| f64::from(x - max).exp()).sum();
    let logprob = |id: u32| f64::from(logits_v[id as usize]) - f64::from(max) - sum.ln();
    let by_logit = |&a: &u32, &b: &u32| logits_v[b as usize].total_cmp(&logits_v[a as usize]).then(a.cmp(&b));
    let mut top: Vec<u32> = if n_top > 0 { (0..logits_v.len() as u32).collect() } else { Vec::new() };
    if n_top < top.len() {
        top.select_nth_unstable_by(n_top, by_logit);
        top.truncate(n_top);
    }
    top.sort_unstable_by(by_logit);
    TokenLogprobs { id, logprob: logprob(id), top: top.into_iter().map(|id| (id, logprob(id))).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logprobs_are_logarithms_of_shares() {
        let logits: Vec<f32> = [0.1f32, 0.5, 0.3, 0.1].iter().map(|p| p.ln() + 7.0).collect();
        let found = token_logprobs(&logits, 2, 3);
        assert_eq!(found.top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 2, 0]);
        assert!((found.logprob - 0.3f64.ln()).abs() < 1e-6 && (found.top[0].1 - 0.5f64.ln()).abs() < 1e-6);
        assert_eq!(token_logprobs(&logits, 0, 0).top, []);
        assert_eq!(token_logprobs(&logits, 0, 99).top.len(), 4);
    }
}
