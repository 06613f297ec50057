//! `L = (1 - alpha) L_lm + alpha L_kd` (2410.16215, equation 1), row by row.
//!
//! Departures: the student's temperature need not be 1, and `temperature_squared` multiplies `L_kd` by the
//! square of the teacher's temperature (1503.02531, section 2); both are off by default, as in the paper.

use tutelage_tensor::kernels::linear_loss::LogitObjective;
use tutelage_tensor::simd::{RowMath, SoftmaxPair};

use crate::divergence::{StudentRow, TargetRow, forward_kl, nll};
use crate::sparse::{frequencies, tempered};
use crate::{Divergence, SparseTargets, Targets, cross_entropy};

/// The objective of one batch.
#[derive(Debug, Clone, Copy)]
pub struct Mixture<'a> {
    /// The token after each row, negative where the row is not learned from.
    pub labels: &'a [i32],
    /// Sparse targets, if the teacher's are; a live teacher's logits come from the engine.
    pub sparse: Option<&'a SparseTargets>,
    /// Whether `sparse` holds counts of samples.
    pub sampled: bool,
    /// Weight of the teacher; unused where there is none.
    pub alpha: f32,
    /// Which distance to the teacher.
    pub divergence: Divergence,
    /// Temperature of the teacher's distribution (counts are not tempered).
    pub teacher_temperature: f32,
    /// Temperature of the student's distribution in the distance.
    pub student_temperature: f32,
    /// Whether the distance is multiplied by the square of the teacher's temperature.
    pub temperature_squared: bool,
    /// What gradients are multiplied by: one over the tokens of the whole step.
    pub scale: f32,
}

/// Sums over rows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Terms {
    /// The objective.
    pub loss: f64,
    /// Cross-entropy with the text.
    pub lm: f64,
    /// Distance to the teacher.
    pub kd: f64,
}

impl Terms {
    /// From what the engine returns.
    pub fn from_sums(sums: &[f64]) -> Self {
        Self { loss: sums[0], lm: sums[1], kd: sums[2] }
    }
}

impl<'a> Mixture<'a> {
    /// Cross-entropy with the text.
    pub fn text(labels: &'a [i32], scale: f32) -> Self {
        Self {
            labels,
            sparse: None,
            sampled: false,
            alpha: 0.0,
            divergence: Divergence::ForwardKl,
            teacher_temperature: 1.0,
            student_temperature: 1.0,
            temperature_squared: false,
            scale,
        }
    }

    /// The same objective with the sparse part of `targets`, if they are sparse.
    pub fn with_targets(self, targets: &'a Targets<'_>) -> Self {
        match targets {
            Targets::Hard | Targets::Soft(_) => self,
            Targets::TopK(sparse) => Self { sparse: Some(sparse), sampled: false, ..self },
            Targets::Sampled(sparse) => Self { sparse: Some(sparse), sampled: true, ..self },
        }
    }

    /// `w` such that `w * D` enters the sum.
    fn kd_weight(&self) -> f64 {
        let tau = f64::from(self.teacher_temperature);
        f64::from(self.alpha) * if self.temperature_squared { tau * tau } else { 1.0 }
    }

    fn text_row(&self, math: RowMath, label: usize, logits_v: &mut [f32], gradient: bool) -> [f64; 3] {
        let label_logit = logits_v[label];
        let log_sum_exp = if gradient {
            let log_sum_exp = math.softmax_times(logits_v, 1.0, self.scale);
            logits_v[label] -= self.scale;
            log_sum_exp
        } else {
            math.log_sum_exp(logits_v, 1.0)
        };
        let lm = cross_entropy::value(log_sum_exp, label_logit);
        [lm, lm, 0.0]
    }

    fn taught_row(
        &self,
        math: RowMath,
        label: usize,
        logits_v: &mut [f32],
        (target, neg_entropy): (TargetRow<'_>, f64),
        gradient: bool,
    ) -> [f64; 3] {
        let (alpha, heat) = (self.alpha, 1.0 / self.student_temperature);
        let label_logit = logits_v[label];
        let (dot, mass) = match target {
            TargetRow::Dense(t_v) => (math.dot(t_v, logits_v), t_v.iter().map(|&t| f64::from(t)).sum::<f64>()),
            TargetRow::Sparse { ids, t_k } => (
                ids.iter().zip(t_k).map(|(&id, t)| t * logits_v[id as usize]).sum(),
                t_k.iter().map(|&t| f64::from(t)).sum(),
            ),
        };
        // The student's distribution at temperature 1, kept where the text has a share in the gradient.
        let with_text = gradient && alpha < 1.0;
        let mut p_v = if with_text && heat != 1.0 { logits_v.to_vec() } else { Vec::new() };
        let lse = match (heat == 1.0, with_text) {
            (true, _) => None,
            (false, true) => Some(math.softmax(&mut p_v, 1.0)),
            (false, false) => Some(math.log_sum_exp(logits_v, 1.0)),
        };
        let lse_tempered = math.softmax(logits_v, heat);
        if with_text && heat == 1.0 {
            p_v = logits_v.to_vec();
        }
        let lm = cross_entropy::value(lse.unwrap_or(lse_tempered), label_logit);
        let cross = f64::from(heat * dot) - mass * f64::from(lse_tempered);
        let kd = self.divergence.value(target, StudentRow { q_v: logits_v, cross }, neg_entropy);
        if gradient {
            let weight = self.kd_weight() as f32 * heat * self.scale;
            self.divergence.gradient_in_place(target, logits_v, weight);
            if with_text {
                cross_entropy::add_gradient(logits_v, &p_v, label, (1.0 - alpha) * self.scale);
            }
        }
        [(1.0 - f64::from(alpha)) * lm + self.kd_weight() * kd, lm, kd]
    }

    /// [`Self::taught_row`] for a live teacher and a divergence whose gradient is `q - t`, in few passes; the
    /// student's temperature must be 1 where the text has a share, so that both shares have one softmax.
    fn live_row(
        &self,
        math: RowMath,
        label: usize,
        logits_v: &mut [f32],
        teacher_v: &mut [f32],
        gradient: bool,
    ) -> [f64; 3] {
        let (heat, teacher_heat) = (1.0 / self.student_temperature, 1.0 / self.teacher_temperature);
        let label_logit = logits_v[label];
        let text = (1.0 - self.alpha) * self.scale;
        let kd = self.kd_weight() as f32 * heat * self.scale;
        let pair = SoftmaxPair { scale_a: heat, scale_b: teacher_heat, weight_a: kd + text, weight_b: kd };
        let lse = if heat == 1.0 { None } else { Some(math.log_sum_exp(logits_v, 1.0)) };
        let sums = math.softmax_difference(logits_v, teacher_v, pair, gradient);
        if gradient {
            logits_v[label] -= text;
        }
        let neg_entropy = f64::from(teacher_heat * sums.b_dot_b) - f64::from(sums.lse_b);
        let cross = f64::from(heat * sums.b_dot_a) - f64::from(sums.lse_a);
        let lm = cross_entropy::value(lse.unwrap_or(sums.lse_a), label_logit);
        let kd = match self.divergence {
            Divergence::Nll => nll::value(cross),
            _ => forward_kl::value(cross, neg_entropy),
        };
        [(1.0 - f64::from(self.alpha)) * lm + self.kd_weight() * kd, lm, kd]
    }

    /// Whether [`Self::live_row`] is this objective.
    fn has_one_softmax(&self) -> bool {
        self.divergence != Divergence::Mse && (self.student_temperature == 1.0 || self.alpha == 1.0)
    }

    /// The live teacher's distribution, in place, and `sum t log t`.
    fn soft_target<'t>(&self, math: RowMath, teacher_v: &'t mut [f32]) -> (TargetRow<'t>, f64) {
        let heat = 1.0 / self.teacher_temperature;
        let logits_v = teacher_v.to_vec();
        let lse = math.softmax(teacher_v, heat);
        let neg_entropy = f64::from(heat * math.dot(teacher_v, &logits_v)) - f64::from(lse);
        (TargetRow::Dense(teacher_v), neg_entropy)
    }
}

impl LogitObjective for Mixture<'_> {
    fn n_terms(&self) -> usize {
        3
    }

    fn row(
        &self,
        math: RowMath,
        row: usize,
        logits_v: &mut [f32],
        teacher_logits_v: Option<&mut [f32]>,
        gradient: bool,
        terms: &mut [f64],
    ) {
        let Ok(label) = usize::try_from(self.labels[row]) else {
            logits_v.fill(0.0);
            terms.fill(0.0);
            return;
        };
        let values = match (teacher_logits_v, self.sparse) {
            (Some(teacher_v), _) if self.has_one_softmax() => self.live_row(math, label, logits_v, teacher_v, gradient),
            (Some(teacher_v), _) => {
                let target = self.soft_target(math, teacher_v);
                self.taught_row(math, label, logits_v, target, gradient)
            }
            (None, Some(sparse)) => {
                let (ids, values) = sparse.row(row);
                let t_k = match self.sampled {
                    true => frequencies(values),
                    false => tempered(values, self.teacher_temperature),
                };
                let log = |&t: &f32| if t > 0.0 { f64::from(t) * f64::from(t).ln() } else { 0.0 };
                let neg_entropy = t_k.iter().map(log).sum();
                let target = (TargetRow::Sparse { ids, t_k: &t_k }, neg_entropy);
                self.taught_row(math, label, logits_v, target, gradient)
            }
            (None, None) => self.text_row(math, label, logits_v, gradient),
        };
        terms.copy_from_slice(&values);
    }
}
