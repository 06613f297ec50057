//! `L = (1 - alpha) L_lm + alpha L_kd` (2410.16215, equation 1), row by row.
//!
//! Departures: the student's temperature need not be 1, and `temperature_squared` multiplies `L_kd` by the
//! square of the teacher's temperature (1503.02531, section 2); both are off by default, as in the paper.

mod rows;
mod softmax;

use crate::sparse::{frequencies, tempered};
use crate::{Divergence, SparseTargets, Targets};

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

    /// The terms of a row with these.
    fn sum(&self, lm: f64, kd: f64) -> [f64; 3] {
        [(1.0 - f64::from(self.alpha)) * lm + self.kd_weight() * kd, lm, kd]
    }

    /// The entries and probabilities of a sparse target's row, and `sum t log t`.
    fn sparse_target<'s>(&self, sparse: &'s SparseTargets, row: usize) -> (&'s [u32], Vec<f32>, f64) {
        let (ids, values) = sparse.row(row);
        let t_k = match self.sampled {
            true => frequencies(values),
            false => tempered(values, self.teacher_temperature),
        };
        let log = |&t: &f32| if t > 0.0 { f64::from(t) * f64::from(t).ln() } else { 0.0 };
        let neg_entropy = t_k.iter().map(log).sum();
        (ids, t_k, neg_entropy)
    }
}
