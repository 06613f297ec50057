//! Temperature scaling (Guo and others, 1706.04599, section 4.2): one number by which all scores are divided, so that
//! probabilities say how often they are right. It changes the order of no labels, and goes into the linear layer, so the model
//! stays of fastText's form.

use super::settings::Choice;

/// What a held-out document gives.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) labels: Vec<usize>,
    pub(super) scores: Vec<f32>,
}

/// The temperature with the least loss; 1 where there is nothing to go by.
pub(super) fn temperature(held: &[Held], choice: Choice) -> f64 {
    if held.is_empty() {
        return 1.0;
    }
    let loss = |log: f64| -> f64 { held.iter().map(|held| nll(held, (-log).exp(), choice)).sum() };
    // The loss is convex in 1/T, so it has one minimum in ln T too: golden section.
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (0.02f64.ln(), 50f64.ln());
    let inner = |low: f64, high: f64| (high - ratio * (high - low), low + ratio * (high - low));
    let (mut a, mut b) = inner(low, high);
    let (mut at_a, mut at_b) = (loss(a), loss(b));
    while high - low > 1e-5 {
        if at_a <= at_b {
            (high, b, at_b) = (b, a, at_a);
            a = inner(low, high).0;
            at_a = loss(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = inner(low, high).1;
            at_b = loss(b);
        }
    }
    ((low + high) / 2.0).exp()
}

fn nll(held: &Held, by: f64, choice: Choice) -> f64 {
    let scores = held.scores.iter().map(|&score| f64::from(score) * by);
    match choice {
        Choice::OneLabel => {
            let most = scores.clone().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.map(|score| (score - most).exp()).sum();
            most + sum.ln() - f64::from(held.scores[held.labels[0]]) * by
        }
        Choice::AnyLabels => scores
            .enumerate()
            .map(|(label, score)| {
                let score = if held.labels.contains(&label) { score } else { -score };
                // ln(1 + e^-x), without overflow.
                (-score).max(0.0) + (-score.abs()).exp().ln_1p()
            })
            .sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_temperature_is_the_one_worked_out_by_hand() {
        // Always the same scores, right three times of four: sigmoid(x / T) = 3/4, so x / T = ln 3.
        let held = |right: usize, scores: [f32; 2]| -> Vec<Held> {
            let of = |i| Held { labels: vec![usize::from(i >= right)], scores: scores.to_vec() };
            (0..4).map(of).collect()
        };
        let found = temperature(&held(3, [6.0, 0.0]), Choice::OneLabel);
        assert!((found - 6.0 / 3f64.ln()).abs() < 1e-3, "{found}");
        let one = |right: bool| Held { labels: if right { vec![0] } else { vec![] }, scores: vec![0.5] };
        let found = temperature(&[one(true), one(true), one(true), one(false)], Choice::AnyLabels);
        assert!((found - 0.5 / 3f64.ln()).abs() < 1e-3, "{found}");
        assert_eq!(temperature(&[], Choice::OneLabel), 1.0);
    }
}
