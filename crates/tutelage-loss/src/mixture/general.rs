//! A row of any distance and any temperatures: whole rows of both distributions.

use tutelage_tensor::kernels::linear_loss::MISSING;
use tutelage_tensor::simd::{RowMath, Shares, Softmax};

use super::target::{Kept, Target, standing};
use super::{Mixture, Terms};
use crate::divergence::logit_mse;
use crate::{Divergence, cross_entropy};

impl Mixture<'_> {
    pub(super) fn general(
        &self,
        math: RowMath,
        label: usize,
        logits_v: &mut [f32],
        target: Target<'_>,
        gradient: bool,
    ) -> Terms {
        let lse = math.log_sum_exp(logits_v, 1.0);
        let lm = cross_entropy::value(lse, logits_v[label]);
        let (weights, temperature, kl) = match &target {
            Target::Whole(teacher_v) => {
                let sums = math.pair_sums(logits_v, lse, teacher_v);
                let (cross, neg_entropy) = sums.of_teacher(1.0);
                let temperature = self.temperature(math, teacher_v, sums);
                (self.whole_weights(math, temperature, teacher_v, label), temperature, neg_entropy - cross)
            }
            Target::Kept(kept) => {
                let kl = kept.plain().kl(kept.logits(logits_v), lse).0;
                (self.kept_weights(kept, label), kept.temperature, kl)
            }
            Target::None => unreachable!("the text alone has a form of its own"),
        };
        let temperature =
            Temperatures { teacher: temperature, student: self.objective.student_temperature.of_row(temperature) };
        let temper = weights.gradient / temperature.student;
        let is_q = temperature.student == 1.0 && self.objective.divergence != Divergence::LogitMse;
        let text = TextGradient::before(math, (label, if gradient { weights.text } else { 0.0 }), is_q, logits_v);
        let kd = match self.objective.divergence {
            Divergence::LogitMse => centred(math, temper, temperature, target, logits_v),
            divergence => {
                let scale = 1.0 / temperature.student;
                let lse_q = if scale == 1.0 { lse } else { math.log_sum_exp(logits_v, scale) };
                let mut row;
                let t = match target {
                    Target::Whole(teacher_v) => {
                        let scale = 1.0 / temperature.teacher;
                        let lse = math.log_sum_exp(teacher_v, scale);
                        Softmax { logits: teacher_v, scale, lse }
                    }
                    Target::Kept(kept) => {
                        row = scattered(&kept, logits_v.len());
                        Softmax { logits: &mut row, scale: 1.0, lse: 0.0 }
                    }
                    Target::None => unreachable!("as above"),
                };
                let shares = Shares { distance: temper, q: text.of_q };
                let q = Softmax { logits: logits_v, scale, lse: lse_q };
                divergence.rows(math, q, t, gradient.then_some(shares))
            }
        };
        text.add(math, logits_v);
        self.terms_of(weights, lm, kd, kl)
    }
}

/// Of one row.
#[derive(Clone, Copy)]
struct Temperatures {
    teacher: f32,
    student: f32,
}

/// The text's part of a row's gradient.
pub(super) struct TextGradient {
    label: usize,
    weight: f32,
    /// What `q` is multiplied by, where it is the text's own softmax.
    pub(super) of_q: f32,
    /// The text's softmax where it is another, with its weight.
    p_v: Option<Vec<f32>>,
}

impl TextGradient {
    /// While the logits are there; `is_q` says whether the distance will add a share of `q`.
    pub(super) fn before(math: RowMath, (label, weight): (usize, f32), is_q: bool, logits_v: &[f32]) -> Self {
        let p_v = (weight != 0.0 && !is_q).then(|| {
            let mut p_v = logits_v.to_vec();
            math.softmax_times(&mut p_v, 1.0, weight);
            p_v
        });
        Self { label, weight, of_q: if is_q { weight } else { 0.0 }, p_v }
    }

    /// Adds what is not in it yet to the gradient of the distance.
    pub(super) fn add(self, math: RowMath, gradient_v: &mut [f32]) {
        if let Some(p_v) = self.p_v {
            math.add_scaled(gradient_v, &p_v, 1.0);
        }
        gradient_v[self.label] -= self.weight;
    }
}

/// The distance between logits; its gradient, times `weight`, in the student's place.
fn centred(math: RowMath, weight: f32, temperature: Temperatures, target: Target<'_>, logits_v: &mut [f32]) -> f64 {
    let (a, b) = (1.0 / temperature.student, 1.0 / temperature.teacher);
    match target {
        Target::Whole(teacher_v) => {
            let (compared, padding) = logits_v.split_at_mut(standing(teacher_v));
            padding.fill(0.0);
            math.scale(compared, a);
            math.add_scaled(compared, teacher_v, -b);
            let value = logit_mse::value(math, compared);
            math.scale(compared, weight);
            value
        }
        Target::Kept(kept) => {
            let pairs = kept.logits(logits_v).zip(&kept.log_t_k);
            let mut differences: Vec<f32> = pairs.map(|(logit, log_t)| a * logit - b * log_t).collect();
            let value = logit_mse::value(math, &mut differences);
            logits_v.fill(0.0);
            for (&id, slope) in kept.ids.iter().zip(differences) {
                logits_v[id as usize] = weight * slope;
            }
            value
        }
        Target::None => unreachable!("the text alone has a form of its own"),
    }
}

/// A whole row with the logarithms of the kept entries' probabilities.
fn scattered(kept: &Kept<'_>, vocabulary: usize) -> Vec<f32> {
    let mut row = vec![MISSING; vocabulary];
    for (&id, &log_t) in kept.ids.iter().zip(&kept.target.log_t_k) {
        row[id as usize] = log_t;
    }
    row
}
