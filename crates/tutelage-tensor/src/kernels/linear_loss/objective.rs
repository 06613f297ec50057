//! What the engine asks of a formula.

use crate::simd::{PairSums, RowMath, SoftmaxPair};

/// A loss over rows of logits. Formulas live in `tutelage-loss`; the engine knows this trait only.
pub trait LogitObjective: Sync {
    /// How many sums are reported.
    fn n_terms(&self) -> usize;

    /// Computes row `row`: adds nothing to, but writes, `terms`; and if `gradient`, replaces `logits_v`
    /// by the gradient of the objective with respect to them, else may leave anything there.
    ///
    /// `teacher_logits_v` are a live teacher's for the same row, if it has one, and may be overwritten.
    fn row(
        &self,
        math: RowMath,
        row: usize,
        logits_v: &mut [f32],
        teacher_logits_v: Option<&mut [f32]>,
        gradient: bool,
        terms: &mut [f64],
    );

    /// The same objective in the form that needs no row of logits at once, if it has it; `taught` says whether there
    /// is a live teacher.
    fn as_softmax(&self, taught: bool) -> Option<&dyn SoftmaxObjective> {
        let _ = taught;
        None
    }
}

/// An objective whose gradient with respect to the logits `a` of a row is
/// `weight_a softmax(scale_a a) - weight_b softmax(scale_b b)`, `b` being a live teacher's logits, less the weights of
/// some entries that the row picks; and whose value follows from sums over the row and from the logits of those entries.
///
/// `taught` says whether there is a live teacher; without one, weights and sums of `b` are not used.
pub trait SoftmaxObjective: Sync {
    /// Scales and weights, which are not negative.
    fn pair(&self, taught: bool) -> SoftmaxPair;

    /// Pushes the entries that row `row` picks. False where nothing is learned from the row: its gradient and its terms
    /// are zero.
    fn picks(&self, row: usize, taught: bool, picks: &mut Vec<Pick>) -> bool;

    /// Writes the terms of row `row`; `picked` are the logits of its picks, as they were pushed.
    fn terms(&self, row: usize, taught: bool, sums: PairSums, picked: &[f32], terms: &mut [f64]);
}

/// [`LogitObjective::row`] of an objective in softmax form.
pub fn softmax_row(
    objective: &dyn SoftmaxObjective,
    math: RowMath,
    row: usize,
    logits_v: &mut [f32],
    teacher_logits_v: Option<&mut [f32]>,
    gradient: bool,
    terms: &mut [f64],
) {
    let taught = teacher_logits_v.is_some();
    let mut picks = Vec::new();
    if !objective.picks(row, taught, &mut picks) {
        logits_v.fill(0.0);
        terms.fill(0.0);
        return;
    }
    let picked: Vec<f32> = picks.iter().map(|pick| logits_v[pick.id as usize]).collect();
    let pair = objective.pair(taught);
    let sums = match teacher_logits_v {
        Some(teacher_logits_v) => math.softmax_difference(logits_v, teacher_logits_v, pair, gradient),
        None => PairSums::of_one(match gradient {
            true => math.softmax_times(logits_v, pair.scale_a, pair.weight_a),
            false => math.log_sum_exp(logits_v, pair.scale_a),
        }),
    };
    if gradient {
        for pick in &picks {
            logits_v[pick.id as usize] -= pick.weight;
        }
    }
    objective.terms(row, taught, sums, &picked, terms);
}

/// An entry of the vocabulary that a row singles out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pick {
    /// Which entry.
    pub id: u32,
    /// What is subtracted from its gradient.
    pub weight: f32,
}
