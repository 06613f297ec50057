//! Naive output layer and cross-entropy, f64, with all logits at once.

/// `(sum of cross-entropies, dhidden, dhead)` of `logits = hidden head^T`, hidden `[t, d]`, head `[v, d]`;
/// rows with a negative label count for nothing, and gradients are multiplied by `scale`.
pub fn cross_entropy(hidden: &[f64], head: &[f64], d: usize, labels: &[i32], scale: f64) -> (f64, Vec<f64>, Vec<f64>) {
    let (mut loss, mut d_hidden, mut d_head) = (0.0, vec![0.0; hidden.len()], vec![0.0; head.len()]);
    for (t, (hidden, &label)) in hidden.chunks(d).zip(labels).enumerate() {
        let Ok(label) = usize::try_from(label) else { continue };
        let logits: Vec<f64> = head.chunks(d).map(|w| w.iter().zip(hidden).map(|(a, b)| a * b).sum()).collect();
        let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|x| (x - max).exp()).sum();
        loss += max + sum.ln() - logits[label];
        for (j, logit) in logits.iter().enumerate() {
            let p = (logit - max).exp() / sum;
            let gradient = scale * (p - if j == label { 1.0 } else { 0.0 });
            for i in 0..d {
                d_hidden[t * d + i] += gradient * head[j * d + i];
                d_head[j * d + i] += gradient * hidden[i];
            }
        }
    }
    (loss, d_hidden, d_head)
}
