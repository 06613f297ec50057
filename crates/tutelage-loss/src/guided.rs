//! Which rows a guided teacher teaches: those whose label it finds most likely (2006.01683, section 3.2).
//!
//! Departure: the paper's code divides by the number of such rows of a batch, and by zero where there are none; here it is
//! those of the whole step, and at least one.

use tutelage_tensor::kernels::linear_loss::{LogitObjective, teacher_terms};
use tutelage_tensor::simd::RowMath;

use crate::sparse::agrees;
use crate::{SparseTargets, Targets};

/// Learned rows whose label is the teacher's most likely entry; of equally likely entries any will do.
///
/// A live teacher's output layer is multiplied out for it, as it will be once more for the loss.
pub fn agreements(targets: &Targets<'_>, labels: &[i32]) -> u64 {
    let of_sparse = |rows: &SparseTargets| {
        let agrees = |row: &usize| usize::try_from(labels[*row]).is_ok_and(|label| agrees(rows.row(*row), label));
        (0..rows.n_rows()).filter(agrees).count() as u64
    };
    match targets {
        Targets::Hard => 0,
        Targets::TopPK(rows) | Targets::Samples(rows) => of_sparse(rows),
        Targets::Soft(logits) => teacher_terms(logits, &Agreement { labels })[0] as u64,
    }
}

struct Agreement<'a> {
    labels: &'a [i32],
}

impl LogitObjective for Agreement<'_> {
    fn n_terms(&self) -> usize {
        1
    }

    fn row(&self, math: RowMath, row: usize, logits_v: &mut [f32], _: Option<&mut [f32]>, _: bool, terms: &mut [f64]) {
        let label = usize::try_from(self.labels[row]).ok();
        terms[0] = f64::from(u8::from(label.is_some_and(|label| is_most_likely(math, logits_v, label))));
    }
}

/// Whether no entry has a larger logit.
pub(crate) fn is_most_likely(math: RowMath, logits_v: &[f32], label: usize) -> bool {
    logits_v[label] == math.largest(logits_v)
}
