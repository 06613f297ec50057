//! A row whose label the student has drawn: the policy gradient of reverse KL, token by token.
//!
//! With the advantage `a = log t(y) - log q(y)` of a token `y ~ q`, held fixed, the loss is `-a log q(y)` (the per-token reward of
//! on-policy distillation: 2306.08543, section 2, without returns; Thinking Machines, "On-Policy Distillation", 2025). Over draws its
//! gradient is that of `KL(q || t)`, and the value `-a` an estimate of it without bias.

use tutelage_tensor::simd::RowMath;

use super::target::standing;
use super::{Mixture, Terms};
use crate::cross_entropy;

impl Mixture<'_> {
    pub(super) fn own_token(
        &self,
        math: RowMath,
        label: usize,
        logits_v: &mut [f32],
        teacher_v: &[f32],
        gradient: bool,
    ) -> Terms {
        let lse = math.log_sum_exp(logits_v, 1.0);
        let sums = math.pair_sums(logits_v, lse, teacher_v);
        let (cross, neg_entropy) = sums.of_teacher(1.0);
        let lm = cross_entropy::value(lse, logits_v[label]);
        // What the teacher has no row for, it would never say: the smallest probability there is.
        let logit = if label < standing(teacher_v) { teacher_v[label] } else { f32::NEG_INFINITY };
        let log_t = (f64::from(logit) - f64::from(sums.lse_b)).max(f64::from(f32::MIN_POSITIVE).ln());
        let advantage = log_t + lm;
        let weights = self.weights(1.0, true);
        if gradient {
            let weight = weights.gradient * advantage as f32 + weights.text;
            math.softmax_times(logits_v, 1.0, weight);
            logits_v[label] -= weight;
        }
        self.terms_of(weights, lm, -advantage, neg_entropy - cross)
    }
}
