//! The objective in softmax form: sums over the row and a few entries are enough.
//!
//! The text's gradient is `p - onehot` and that of forward KL and NLL `q - t`; where the student's temperature is 1, `p`
//! and `q` are one softmax.

use tutelage_tensor::kernels::linear_loss::{Pick, SoftmaxObjective};
use tutelage_tensor::simd::{PairSums, RowMath, SoftmaxPair};

use super::target::{Kept, Target};
use super::{Mixture, RowWeights, Terms};
use crate::cross_entropy;
use crate::guided::is_most_likely;

impl Mixture<'_> {
    /// The text alone.
    pub(super) fn text_row(&self, math: RowMath, label: usize, logits_v: &mut [f32], gradient: bool) -> Terms {
        let label_logit = logits_v[label];
        let lse = match gradient {
            true => math.softmax_times(logits_v, 1.0, self.scale),
            false => math.log_sum_exp(logits_v, 1.0),
        };
        if gradient {
            logits_v[label] -= self.scale;
        }
        Self::text_terms(cross_entropy::value(lse, label_logit))
    }

    /// Where there is no teacher, the text's weight is one.
    fn text_terms(lm: f64) -> Terms {
        Terms { text: lm, lm, ..Terms::default() }
    }

    /// Text and teacher where both gradients are differences of softmaxes.
    pub(super) fn difference(
        &self,
        math: RowMath,
        label: usize,
        logits_v: &mut [f32],
        target: Target<'_>,
        gradient: bool,
    ) -> Terms {
        let label_logit = logits_v[label];
        let divergence = self.objective.divergence;
        match target {
            Target::Whole(teacher_v) => {
                let is_plain = self.objective.temperature.fixed() == Some(1.0);
                // At temperature 1 the sums of the difference itself are these.
                let plain = (!is_plain).then(|| math.pair_sums(logits_v, 0.0, teacher_v));
                let temperature = plain.map_or(1.0, |sums| self.temperature(math, teacher_v, sums));
                let weights = self.whole_weights(math, temperature, teacher_v, label);
                let sums = math.softmax_difference(logits_v, teacher_v, weights.pair(temperature), gradient);
                let (cross, neg_entropy) = sums.of_teacher(1.0 / temperature);
                let kl = match plain {
                    None => neg_entropy - cross,
                    Some(plain) => {
                        let (cross, neg_entropy) = PairSums { lse_a: sums.lse_a, ..plain }.of_teacher(1.0);
                        neg_entropy - cross
                    }
                };
                let lm = cross_entropy::value(sums.lse_a, label_logit);
                if gradient {
                    logits_v[label] -= weights.text;
                }
                self.terms_of(weights, lm, divergence.of_sums(cross, neg_entropy), kl)
            }
            Target::Kept(kept) => {
                let weights = self.kept_weights(&kept, label);
                let logits: Vec<f32> = kept.logits(logits_v).collect();
                let lse = match gradient {
                    true => math.softmax_times(logits_v, 1.0, weights.text + weights.gradient),
                    false => math.log_sum_exp(logits_v, 1.0),
                };
                if gradient {
                    logits_v[label] -= weights.text;
                    for (&id, t) in kept.ids.iter().zip(&kept.target.t_k) {
                        logits_v[id as usize] -= weights.gradient * t;
                    }
                }
                self.kept_terms(weights, &kept, lse, label_logit, &logits)
            }
            Target::None => self.text_row(math, label, logits_v, gradient),
        }
    }

    /// Of a row that a live teacher finds this temperature for.
    pub(super) fn whole_weights(&self, math: RowMath, temperature: f32, teacher_v: &[f32], label: usize) -> RowWeights {
        self.weights(temperature, !self.objective.guided || is_most_likely(math, teacher_v, label))
    }

    pub(super) fn kept_weights(&self, kept: &Kept<'_>, label: usize) -> RowWeights {
        self.weights(kept.temperature, !self.objective.guided || kept.agrees(label))
    }

    /// From the log-sum-exp of the row, the label's logit and those of the kept entries.
    fn kept_terms(&self, weights: RowWeights, kept: &Kept<'_>, lse: f32, label_logit: f32, logits: &[f32]) -> Terms {
        let (kl, cross) = kept.target.kl(logits.iter().copied(), lse);
        let kd = self.objective.divergence.of_sums(cross, cross + kl);
        let (plain, _) = kept.plain().kl(logits.iter().copied(), lse);
        self.terms_of(weights, cross_entropy::value(lse, label_logit), kd, plain)
    }
}

impl RowWeights {
    fn pair(self, temperature: f32) -> SoftmaxPair {
        let kd = self.gradient;
        SoftmaxPair { scale_a: 1.0, scale_b: 1.0 / temperature, weight_a: self.text + kd, weight_b: kd }
    }
}

/// All rows have one temperature and one weight here, see [`crate::Objective::has_softmax_form`]; those of kept entries may
/// have temperatures of their own.
impl SoftmaxObjective for Mixture<'_> {
    fn pair(&self, taught: bool) -> SoftmaxPair {
        let temperature = self.objective.temperature.fixed().unwrap_or(1.0) as f32;
        match taught || self.sparse.is_some() {
            true => self.weights(temperature, true).pair(temperature),
            false => SoftmaxPair { scale_a: 1.0, scale_b: 1.0, weight_a: self.scale, weight_b: 0.0 },
        }
    }

    fn picks(&self, row: usize, taught: bool, picks: &mut Vec<Pick>) -> bool {
        let Ok(label) = u32::try_from(self.labels[row]) else { return false };
        match self.sparse.filter(|_| !taught) {
            Some(sparse) => {
                let kept = self.kept(sparse, row);
                let weights = self.kept_weights(&kept, label as usize);
                picks.push(Pick { id: label, weight: weights.text });
                let pick = |(&id, t): (&u32, &f32)| Pick { id, weight: weights.gradient * t };
                picks.extend(kept.ids.iter().zip(&kept.target.t_k).map(pick));
            }
            None if taught => picks.push(Pick { id: label, weight: self.objective.text as f32 * self.scale }),
            None => picks.push(Pick { id: label, weight: self.scale }),
        }
        true
    }

    fn terms(&self, row: usize, taught: bool, sums: PairSums, picked: &[f32], terms: &mut [f64]) {
        let lm = cross_entropy::value(sums.lse_a, picked[0]);
        let found = match (taught, self.sparse) {
            (true, _) => {
                let temperature = self.objective.temperature.fixed().unwrap_or(1.0) as f32;
                let (cross, neg_entropy) = sums.of_teacher(1.0 / temperature);
                let kd = self.objective.divergence.of_sums(cross, neg_entropy);
                self.terms_of(self.weights(temperature, true), lm, kd, neg_entropy - cross)
            }
            (false, Some(sparse)) => {
                let kept = self.kept(sparse, row);
                self.kept_terms(self.weights(kept.temperature, true), &kept, sums.lse_a, picked[0], &picked[1..])
            }
            (false, None) => Self::text_terms(lm),
        };
        found.write(terms);
    }
}
