//! Negative log-likelihood under the teacher: `-sum_i t_i log q_i` (2410.16215, section 2, "NLL").

use super::TargetRow;

/// From `cross = sum t log q`.
pub fn value(cross: f64) -> f64 {
    -cross
}

/// `q <- weight * (sum(t) q - t)`: with a fixed teacher also the gradient of the forward KL divergence.
pub fn gradient_in_place(target: TargetRow<'_>, q_v: &mut [f32], weight: f32) {
    let factor = weight * target.mass();
    for q in q_v.iter_mut() {
        *q *= factor;
    }
    target.subtract_from(q_v, weight);
}
