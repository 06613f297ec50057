//! What the engine asks of a formula.

use crate::simd::RowMath;
use crate::{ParamId, Params, Tensor};

/// A loss over rows of logits. Formulas live in `tutelage-loss`; the engine knows this trait only.
pub trait LogitObjective: Sync {
    /// How many sums are reported.
    fn n_terms(&self) -> usize;

    /// Computes row `row`: adds nothing to, but writes, `terms`; and if `gradient`, replaces `logits_v`
    /// by the gradient of the objective with respect to them, else may leave anything there.
    ///
    /// `teacher_logits_v` are a live teacher's for the same row, and may be overwritten.
    fn row(
        &self,
        math: RowMath,
        row: usize,
        logits_v: &mut [f32],
        teacher_logits_v: Option<&mut [f32]>,
        gradient: bool,
        terms: &mut [f64],
    );
}

/// A live teacher's logits, not yet multiplied out: hidden states and the output layer.
#[derive(Clone)]
pub struct TeacherLogits<'a> {
    /// Last hidden states `[t, d_teacher]`, in the type of the teacher's activations.
    pub hidden: Tensor,
    /// The teacher's parameters.
    pub params: &'a Params,
    /// Its output layer `[v, d_teacher]`.
    pub head: ParamId,
}
