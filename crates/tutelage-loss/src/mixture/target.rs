//! What a teacher says of one row.

use tutelage_tensor::kernels::linear_loss::MISSING;
use tutelage_tensor::simd::{Entry, PairSums, RowMath};

use super::{Mixture, Sparse};
use crate::sparse::{agrees, frequencies, log_normalised};
use crate::temperature::{Shape, Temperature};

/// A teacher's distribution for one row.
pub(super) enum Target<'t> {
    None,
    /// Logits of the whole vocabulary.
    Whole(&'t mut [f32]),
    Kept(Kept<'t>),
}

/// Entries of a truncated distribution.
pub(super) struct Kept<'t> {
    pub(super) ids: &'t [u32],
    /// Logarithms of probabilities at temperature 1, not renormalised, and none below [`Entry::LOWEST`].
    pub(super) log_t_k: Vec<f32>,
    /// The row's temperature.
    pub(super) temperature: f32,
    /// Renormalised at that temperature.
    pub(super) target: Distribution,
    /// The same at temperature 1, where that is another.
    plain: Option<Distribution>,
}

/// Probabilities of kept entries, and their logarithms.
pub(super) struct Distribution {
    pub(super) t_k: Vec<f32>,
    pub(super) log_t_k: Vec<f32>,
    /// `sum t log t`.
    pub(super) neg_entropy: f64,
}

impl Distribution {
    /// `softmax(log_probs / temperature)`: `F(z) = softmax(Truncate(z) / tau)` (2410.16215, equation 3; log-probabilities
    /// differ from logits by a constant, which a softmax does not see).
    fn new(log_probs: &[f32], temperature: f32) -> Self {
        let log_t_k = log_normalised(log_probs, temperature);
        let t_k: Vec<f32> = log_t_k.iter().map(|x| x.exp()).collect();
        let neg_entropy = t_k.iter().zip(&log_t_k).map(|(&t, &log_t)| f64::from(t) * f64::from(log_t)).sum();
        Self { t_k, log_t_k, neg_entropy }
    }

    /// `sum t (log t - log q)` for logits of the entries and the log-sum-exp of their row, and `sum t log q`.
    pub(super) fn kl(&self, logits: impl Iterator<Item = f32>, lse: f32) -> (f64, f64) {
        let cross = self
            .t_k
            .iter()
            .zip(logits)
            .map(|(&t, logit)| f64::from(t) * (f64::from(logit) - f64::from(lse)))
            .sum::<f64>();
        (self.neg_entropy - cross, cross)
    }
}

impl<'t> Kept<'t> {
    /// Logits of a row at the kept entries.
    pub(super) fn logits<'l>(&self, logits_v: &'l [f32]) -> impl Iterator<Item = f32> + use<'l, 't> {
        self.ids.iter().map(|&id| logits_v[id as usize])
    }

    /// At temperature 1.
    pub(super) fn plain(&self) -> &Distribution {
        self.plain.as_ref().unwrap_or(&self.target)
    }

    /// Whether the most likely entry is the label; of equal ones, any.
    pub(super) fn agrees(&self, label: usize) -> bool {
        agrees((self.ids, &self.log_t_k), label)
    }
}

impl<'a> Mixture<'a> {
    /// The entries of a row.
    pub(super) fn kept(&self, sparse: Sparse<'a>, row: usize) -> Kept<'a> {
        let (ids, mut log_t_k) = match sparse {
            Sparse::TopPK(rows) => {
                let (ids, log_probs) = rows.row(row);
                (ids, log_probs.to_vec())
            }
            Sparse::Samples(rows) => {
                let (ids, counts) = rows.row(row);
                (ids, frequencies(counts).iter().map(|t| t.ln()).collect())
            }
        };
        // What is no number stays none.
        log_t_k.iter_mut().filter(|log_t| **log_t < Entry::LOWEST).for_each(|log_t| *log_t = Entry::LOWEST);
        let temperature = self.objective.temperature.of_row(|| {
            let plain = Distribution::new(&log_t_k, 1.0);
            Shape { deviation: deviation(&log_t_k), entropy: -plain.neg_entropy as f32, n: log_t_k.len() }
        });
        let plain = (temperature != 1.0).then(|| Distribution::new(&log_t_k, 1.0));
        Kept { ids, target: Distribution::new(&log_t_k, temperature), plain, temperature, log_t_k }
    }

    /// The temperature of a live teacher's row; `sums` are those at temperature 1.
    pub(super) fn temperature(&self, math: RowMath, teacher_v: &[f32], sums: PairSums) -> f32 {
        let teacher_v = &teacher_v[..standing(teacher_v)];
        self.objective.temperature.of_row(|| Shape {
            deviation: match self.objective.temperature {
                Temperature::Deviation { .. } => math.deviation(teacher_v).1,
                _ => 0.0,
            },
            entropy: sums.lse_b - sums.b_dot_b,
            n: teacher_v.len(),
        })
    }
}

/// Entries of a live teacher's row that stand for something: what follows is padding, see [`MISSING`].
pub(super) fn standing(teacher_v: &[f32]) -> usize {
    // What is no number stands: it must not be lost.
    teacher_v.iter().rposition(|&logit| logit != MISSING).map_or(0, |last| last + 1)
}

/// Root of the mean square from the mean.
fn deviation(xs: &[f32]) -> f32 {
    let n = xs.len().max(1) as f64;
    let mean = xs.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    (xs.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n).sqrt() as f32
}
