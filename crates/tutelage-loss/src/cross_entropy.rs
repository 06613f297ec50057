//! Cross-entropy with the text: `L_lm = -log P_s(x_t | x_<t)` (2410.16215, equation 2, per token). Its gradient with respect
//! to the logits is `p - onehot`.

/// The loss of one row, from its logits' log-sum-exp and the label's logit.
pub fn value(log_sum_exp: f32, label_logit: f32) -> f64 {
    f64::from(log_sum_exp) - f64::from(label_logit)
}
