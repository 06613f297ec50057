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
}

impl Scores {
    pub(crate) fn zero() -> Self {
        Self { nats: 0.0, bins: vec![0.0; BINS * OF_BIN] }
    }

    pub(crate) fn add(&mut self, terms: &[f64]) {
        self.nats += terms[0];
        self.bins.iter_mut().zip(&terms[1..]).for_each(|(sum, term)| *sum += term);
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
}

impl LogitObjective for Scored<'_> {
    fn n_terms(&self) -> usize {
        1 + BINS * OF_BIN
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_those_worked_out_by_hand() {
        let mut scores = Scores::zero();
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
        assert_eq!(Scores::zero().calibration_error(), 0.0);
    }
}
