//! Mean-square error between logits: `mean ((a - mean a) - (b - mean b))^2` over the entries compared.
//!
//! For zero-mean logits it is what `T^2 KL` tends to, up to a factor, as the temperature grows (1503.02531, equation 4).
//! Departure: both sides are centred, always. A softmax does not see a constant, a cache of log-probabilities does not have
//! it, and pulling the student to it teaches nothing.

use tutelage_tensor::simd::RowMath;

/// From the differences `a - b`, which are replaced by the derivatives with respect to `a`.
pub(crate) fn value(math: RowMath, differences: &mut [f32]) -> f64 {
    let (mean, deviation) = math.deviation(differences);
    let factor = 2.0 / differences.len().max(1) as f32;
    differences.iter_mut().for_each(|x| *x = factor * (*x - mean));
    f64::from(deviation) * f64::from(deviation)
}
