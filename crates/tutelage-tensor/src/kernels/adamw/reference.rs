//! Naive AdamW, f64.

/// One step on `(weight, m, v)`; `t` counts from one.
#[allow(clippy::too_many_arguments)]
pub fn step(
    (w, m, v): (f64, f64, f64),
    grad: f64,
    (lr, beta1, beta2, eps, decay): (f64, f64, f64, f64, f64),
    t: i32,
) -> (f64, f64, f64) {
    let m = beta1 * m + (1.0 - beta1) * grad;
    let v = beta2 * v + (1.0 - beta2) * grad * grad;
    let m_hat = m / (1.0 - beta1.powi(t));
    let v_hat = v / (1.0 - beta2.powi(t));
    (w - lr * decay * w - lr * m_hat / (v_hat.sqrt() + eps), m, v)
}
