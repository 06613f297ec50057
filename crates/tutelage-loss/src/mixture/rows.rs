//! The objective of a whole row of logits: every divergence and temperature, on any machine.

use tutelage_tensor::kernels::linear_loss::{LogitObjective, SoftmaxObjective, softmax_row};
use tutelage_tensor::simd::RowMath;

use super::Mixture;
use crate::cross_entropy;
use crate::divergence::{StudentRow, TargetRow};

impl Mixture<'_> {
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
        self.sum(lm, kd)
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
        if let Some(softmax) = self.as_softmax(teacher_logits_v.is_some()) {
            return softmax_row(softmax, math, row, logits_v, teacher_logits_v, gradient, terms);
        }
        let Ok(label) = usize::try_from(self.labels[row]) else {
            logits_v.fill(0.0);
            terms.fill(0.0);
            return;
        };
        let values = match (teacher_logits_v, self.sparse) {
            (Some(teacher_v), _) => {
                let target = self.soft_target(math, teacher_v);
                self.taught_row(math, label, logits_v, target, gradient)
            }
            (None, Some(sparse)) => {
                let (ids, t_k, neg_entropy) = self.sparse_target(sparse, row);
                let target = (TargetRow::Sparse { ids, t_k: &t_k }, neg_entropy);
                self.taught_row(math, label, logits_v, target, gradient)
            }
            (None, None) => unreachable!("the text alone has softmax form"),
        };
        terms.copy_from_slice(&values);
    }

    fn as_softmax(&self, taught: bool) -> Option<&dyn SoftmaxObjective> {
        self.has_softmax_form(taught).then_some(self)
    }
}
