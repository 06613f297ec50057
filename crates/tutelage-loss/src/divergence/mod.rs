//! Distances between a teacher's distribution and the student's, one formula a file.
//!
//! `t` is the teacher's distribution (tempered, truncated and renormalised: 2410.16215, equation 3), `q` the
//! student's over the whole vocabulary. Gradients are with respect to the student's tempered logits.

pub mod forward_kl;
pub mod mse;
pub mod nll;

/// A teacher's distribution for one row.
#[derive(Debug, Clone, Copy)]
pub enum TargetRow<'a> {
    /// Over the whole vocabulary.
    Dense(&'a [f32]),
    /// Over the entries `ids`; zero elsewhere.
    Sparse {
        /// Kept entries, each once.
        ids: &'a [u32],
        /// Their probabilities.
        t_k: &'a [f32],
    },
}

/// The student's distribution for one row.
#[derive(Debug, Clone, Copy)]
pub struct StudentRow<'a> {
    /// Probabilities over the whole vocabulary.
    pub q_v: &'a [f32],
    /// `sum t log q`, computed from logits so that tiny probabilities keep their logarithm.
    pub cross: f64,
}

/// Which distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Divergence {
    /// `KL(t || q)`.
    ForwardKl,
    /// `-sum t log q`.
    Nll,
    /// `sum (q - t)^2`.
    Mse,
}

impl Divergence {
    /// Whether the gradient is a difference of two softmaxes, the student's being the text's own.
    pub fn has_softmax_form(self, student_temperature: f32) -> bool {
        self != Divergence::Mse && student_temperature == 1.0
    }

    /// The distance of one row; `neg_entropy` is `sum t log t`.
    pub fn value(self, target: TargetRow<'_>, student: StudentRow<'_>, neg_entropy: f64) -> f64 {
        match self {
            Divergence::ForwardKl => forward_kl::value(student.cross, neg_entropy),
            Divergence::Nll => nll::value(student.cross),
            Divergence::Mse => mse::value(target, student.q_v),
        }
    }

    /// Replaces the student's probabilities by `weight` times the gradient.
    pub fn gradient_in_place(self, target: TargetRow<'_>, q_v: &mut [f32], weight: f32) {
        match self {
            Divergence::ForwardKl | Divergence::Nll => nll::gradient_in_place(target, q_v, weight),
            Divergence::Mse => mse::gradient_in_place(target, q_v, weight),
        }
    }
}

impl TargetRow<'_> {
    /// `sum t`.
    fn mass(self) -> f32 {
        let (TargetRow::Dense(t) | TargetRow::Sparse { t_k: t, .. }) = self;
        t.iter().sum()
    }

    /// `row -= weight * t`.
    fn subtract_from(self, row: &mut [f32], weight: f32) {
        match self {
            TargetRow::Dense(t_v) => {
                for (x, t) in row.iter_mut().zip(t_v) {
                    *x -= weight * t;
                }
            }
            TargetRow::Sparse { ids, t_k } => {
                for (&id, t) in ids.iter().zip(t_k) {
                    row[id as usize] -= weight * t;
                }
            }
        }
    }
}
