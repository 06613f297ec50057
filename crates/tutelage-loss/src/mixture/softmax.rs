//! The objective in softmax form: sums over the row and a few entries are enough.
//!
//! The text's gradient is `p - onehot` and that of forward KL and NLL `q - t`; where the student's temperature is 1, `p`
//! and `q` are one softmax.

use tutelage_tensor::kernels::linear_loss::{Pick, SoftmaxObjective};
use tutelage_tensor::simd::{PairSums, SoftmaxPair};

use super::Mixture;
use crate::divergence::{forward_kl, nll};
use crate::{Divergence, cross_entropy};

impl Mixture<'_> {
    /// Whether it has this form, with a live teacher or without.
    pub(super) fn has_softmax_form(&self, taught: bool) -> bool {
        let is_text = !taught && self.sparse.is_none();
        is_text || self.divergence.has_softmax_form(self.student_temperature)
    }

    /// Weights of the text and of the distance in the gradient; the text's is whole where there is no teacher.
    fn shares(&self, taught: bool) -> (f32, f32) {
        match taught {
            true => ((1.0 - self.alpha) * self.scale, self.kd_weight() as f32 * self.scale),
            false => (self.scale, 0.0),
        }
    }
}

impl SoftmaxObjective for Mixture<'_> {
    fn pair(&self, taught: bool) -> SoftmaxPair {
        let (text, kd) = self.shares(taught || self.sparse.is_some());
        SoftmaxPair { scale_a: 1.0, scale_b: 1.0 / self.teacher_temperature, weight_a: text + kd, weight_b: kd }
    }

    fn picks(&self, row: usize, taught: bool, picks: &mut Vec<Pick>) -> bool {
        let Ok(label) = u32::try_from(self.labels[row]) else { return false };
        let sparse = self.sparse.filter(|_| !taught);
        let (text, kd) = self.shares(taught || sparse.is_some());
        picks.push(Pick { id: label, weight: text });
        if let Some(sparse) = sparse {
            let (ids, t_k, _) = self.sparse_target(sparse, row);
            picks.extend(ids.iter().zip(t_k).map(|(&id, t)| Pick { id, weight: kd * t }));
        }
        true
    }

    fn terms(&self, row: usize, taught: bool, sums: PairSums, picked: &[f32], terms: &mut [f64]) {
        let lm = cross_entropy::value(sums.lse_a, picked[0]);
        let (cross, neg_entropy) = match (taught, self.sparse) {
            (true, _) => {
                let heat = 1.0 / self.teacher_temperature;
                (
                    f64::from(sums.b_dot_a) - f64::from(sums.lse_a),
                    f64::from(heat * sums.b_dot_b) - f64::from(sums.lse_b),
                )
            }
            (false, Some(sparse)) => {
                let (_, t_k, neg_entropy) = self.sparse_target(sparse, row);
                let dot: f32 = t_k.iter().zip(&picked[1..]).map(|(t, logit)| t * logit).sum();
                let mass: f64 = t_k.iter().map(|&t| f64::from(t)).sum();
                (f64::from(dot) - mass * f64::from(sums.lse_a), neg_entropy)
            }
            (false, None) => return terms.copy_from_slice(&[lm, lm, 0.0]),
        };
        let kd = match self.divergence {
            Divergence::Nll => nll::value(cross),
            _ => forward_kl::value(cross, neg_entropy),
        };
        terms.copy_from_slice(&self.sum(lm, kd));
    }
}
