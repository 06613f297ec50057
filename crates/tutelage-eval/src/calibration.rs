//! Cross-entropy with the text, and how far a model's confidence is from its accuracy.
//!
//! Expected calibration error (1706.04599, equation 3): tokens are put into bins by the probability of the most likely next token; the
//! error is the mean over tokens of the distance between their bin's mean probability and how often it was right. 15 bins of equal
//! width, as there.

use tutelage_tensor::kernels::linear_loss::LogitObjective;
use tutelage_tensor::simd::RowMath;

const BINS: usize = 15;
/// Of a bin: tokens, probabilities, hits.
const OF_BIN: usize = 3;

/// Sums of the terms of [`Scored`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scores {
    /// Cross-entropies, nats.
    pub(crate) nats: f64,
    bins: Vec<f64>,
    /// Cross-entropies and tokens of each route.
    by_route: Vec<[f64; 2]>,
}

impl Scores {
    pub(crate) fn zero(n_routes: usize) -> Self {
        Self { nats: 0.0, bins: vec![0.0; BINS * OF_BIN], by_route: vec![[0.0; 2]; n_routes] }
    }

    pub(crate) fn add(&mut self, terms: &[f64]) {
        self.nats += terms[0];
        self.bins.iter_mut().zip(&terms[1..]).for_each(|(sum, term)| *sum += term);
        let by_route = self.by_route.as_flattened_mut();
        by_route.iter_mut().zip(&terms[1 + BINS * OF_BIN..]).for_each(|(sum, term)| *sum += term);
    }

    /// Nats a token of each route, and its tokens.
    pub(crate) fn by_route(&self) -> Vec<(f64, u64)> {
        self.by_route.iter().map(|[nats, tokens]| (nats / tokens.max(1.0), *tokens as u64)).collect()
    }

    /// Expected calibration error, from 0 to 1.
    pub(crate) fn calibration_error(&self) -> f64 {
        let bins = self.bins.as_chunks::<OF_BIN>().0;
        let n: f64 = bins.iter().map(|bin| bin[0]).sum();
        bins.iter().map(|[_, probabilities, hits]| (probabilities - hits).abs()).sum::<f64>() / n.max(1.0)
    }
}

/// Scores each row whose label is not negative.
pub(crate) struct Scored<'a> {
    pub(crate) labels: &'a [i32],
    /// Number of the route of each row, where documents have routes.
    pub(crate) routes: &'a [u16],
    pub(crate) n_routes: usize,
}

impl LogitObjective for Scored<'_> {
    fn n_terms(&self) -> usize {
        1 + BINS * OF_BIN + 2 * self.n_routes
    }

    fn row(&self, math: RowMath, row: usize, logits_v: &mut [f32], _: Option<&mut [f32]>, _: bool, terms: &mut [f64]) {
        terms.fill(0.0);
        let Ok(label) = usize::try_from(self.labels[row]) else { return };
        let lse = math.log_sum_exp(logits_v, 1.0);
        let largest = math.largest(logits_v);
        let probability = f64::from(largest - lse).exp().min(1.0);
        let bin = ((probability * BINS as f64) as usize).min(BINS - 1);
        terms[0] = f64::from(lse) - f64::from(logits_v[label]);
        let hit = f64::from(u8::from(logits_v[label] == largest));
        terms[1 + bin * OF_BIN..][..OF_BIN].copy_from_slice(&[1.0, probability, hit]);
        if let Some(&route) = self.routes.get(row) {
            let of_route = [terms[0], 1.0];
            terms[1 + BINS * OF_BIN + 2 * usize::from(route)..][..2].copy_from_slice(&of_route);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_those_worked_out_by_hand() {
        let mut scores = Scores::zero(0);
        let mut token = |probability: f64, hit: f64| {
            let mut terms = vec![0.0; 1 + BINS * OF_BIN];
            let bin = (probability * 15.0) as usize;
            terms[0] = 1.0;
            terms[1 + bin * OF_BIN..][..OF_BIN].copy_from_slice(&[1.0, probability, hit]);
            scores.add(&terms);
        };
        // One bin of 0.95 and 0.97, right once; one of 0.5, right.
        token(0.95, 1.0);
        token(0.97, 0.0);
        token(0.5, 1.0);
        assert_eq!(scores.nats, 3.0);
        assert!((scores.calibration_error() - (0.92 + 0.5) / 3.0).abs() < 1e-12);
        assert_eq!(Scores::zero(0).calibration_error(), 0.0);
    }

    #[test]
    fn routes_are_counted_apart() {
        let device = tutelage_tensor::Device::cpu(1, tutelage_tensor::Isa::Portable).unwrap();
        let mut params = tutelage_tensor::Params::new(&device, tutelage_tensor::Precision::F32);
        // Two tokens, whose logits are the hidden states.
        let head = params.push("head", [2, 2], &[1.0, 0.0, 0.0, 1.0]);
        let mut tape = tutelage_tensor::Tape::inference(&params);
        let hidden = tape.leaf(tutelage_tensor::Tensor::from_f32(&device, [3, 2], &[0.0; 6]));
        let scored = Scored { labels: &[0, -1, 1], routes: &[1, 0, 1], n_routes: 2 };
        let mut scores = Scores::zero(2);
        scores.add(&tape.linear_loss(&hidden, head, None, &scored));
        let [(none, 0), (loss, 2)] = scores.by_route()[..] else { panic!("{:?}", scores.by_route()) };
        assert!(none == 0.0 && (loss - std::f64::consts::LN_2).abs() < 1e-6);
        assert!((scores.nats - 2.0 * std::f64::consts::LN_2).abs() < 1e-6);
    }
}
