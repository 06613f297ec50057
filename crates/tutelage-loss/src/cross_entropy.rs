//! Cross-entropy with the text: `L_lm = -log P_s(x_t | x_<t)` (2410.16215, equation 2, per token).

/// The loss of one row, from its logits' log-sum-exp and the label's logit.
pub fn value(log_sum_exp: f32, label_logit: f32) -> f64 {
    f64::from(log_sum_exp) - f64::from(label_logit)
}

/// Adds `weight * (p - onehot)` to a row of gradients.
pub fn add_gradient(gradient_v: &mut [f32], p_v: &[f32], label: usize, weight: f32) {
    for (gradient, p) in gradient_v.iter_mut().zip(p_v) {
        *gradient += weight * p;
    }
    gradient_v[label] -= weight;
}
