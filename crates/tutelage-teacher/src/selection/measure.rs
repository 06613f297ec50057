//! What a teacher makes of each document.

use std::ops::Range;

use tutelage_tensor::kernels::linear_loss::{LogitObjective, TeacherLogits, TeacherMember, teacher_terms};
use tutelage_tensor::simd::RowMath;

use super::policy::N_SEEN;

/// Cross-entropy with the labels, and less the log-probability of the most likely entry; summed by document.
struct ByDocument<'a> {
    labels: &'a [i32],
    vocabulary: usize,
    /// The document of each row.
    documents: Vec<usize>,
    n: usize,
}

impl LogitObjective for ByDocument<'_> {
    fn n_terms(&self) -> usize {
        N_SEEN * self.n
    }

    fn row(&self, math: RowMath, row: usize, logits_v: &mut [f32], _: Option<&mut [f32]>, _: bool, terms: &mut [f64]) {
        terms.fill(0.0);
        let Ok(label) = usize::try_from(self.labels[row]) else { return };
        let logits_v = &logits_v[..self.vocabulary];
        let lse = f64::from(math.log_sum_exp(logits_v, 1.0));
        let of_label = logits_v.get(label).map_or(f32::MIN_POSITIVE.ln(), |logit| *logit);
        let doubt = lse - f64::from(math.largest(logits_v));
        terms[N_SEEN * self.documents[row]..][..N_SEEN].copy_from_slice(&[lse - f64::from(of_label), doubt]);
    }
}

/// Means over the learned rows of each document, of rows laid end to end.
pub(super) fn measure(member: &TeacherMember<'_>, labels: &[i32], documents: &[Range<usize>]) -> Vec<[f64; N_SEEN]> {
    let mut of_rows = vec![0; labels.len()];
    documents.iter().enumerate().for_each(|(document, rows)| of_rows[rows.clone()].fill(document));
    let objective = ByDocument { labels, vocabulary: member.vocabulary, documents: of_rows, n: documents.len() };
    let sums = teacher_terms(&TeacherLogits::of(member.clone()), &objective);
    let mean = |(sums, rows): (&[f64; N_SEEN], &Range<usize>)| {
        let n = labels[rows.clone()].iter().filter(|label| **label >= 0).count().max(1) as f64;
        sums.map(|sum| sum / n)
    };
    sums.as_chunks::<N_SEEN>().0.iter().zip(documents).map(mean).collect()
}
