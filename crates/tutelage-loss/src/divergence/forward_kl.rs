//! Forward Kullback-Leibler divergence: `sum_i t_i (log t_i - log q_i)` (2410.16215, section 2, "KLD").
//!
//! Departure: the paper does not give the direction; forward (teacher first) is what its NLL differs from by
//! the teacher's entropy alone.

/// From `cross = sum t log q` and `neg_entropy = sum t log t`. The gradient is that of [`super::nll`].
pub fn value(cross: f64, neg_entropy: f64) -> f64 {
    neg_entropy - cross
}
