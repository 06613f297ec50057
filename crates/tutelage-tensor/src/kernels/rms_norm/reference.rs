//! Naive RMSNorm, f64.

/// `y[t, d]`.
pub fn forward(x: &[f64], w: &[f64], eps: f64) -> Vec<f64> {
    let d = w.len();
    x.chunks(d)
        .flat_map(|row| {
            let inv = 1.0 / (row.iter().map(|x| x * x).sum::<f64>() / d as f64 + eps).sqrt();
            row.iter().zip(w).map(move |(x, w)| x * inv * w).collect::<Vec<_>>()
        })
        .collect()
}

/// `(dx, dw)`.
pub fn backward(x: &[f64], w: &[f64], eps: f64, grad: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let d = w.len();
    let (mut dx, mut dw) = (Vec::new(), vec![0.0; d]);
    for (row, grad) in x.chunks(d).zip(grad.chunks(d)) {
        let inv = 1.0 / (row.iter().map(|x| x * x).sum::<f64>() / d as f64 + eps).sqrt();
        let dot: f64 = (0..d).map(|i| grad[i] * w[i] * row[i]).sum();
        for i in 0..d {
            dx.push(inv * grad[i] * w[i] - row[i] * inv.powi(3) * dot / d as f64);
            dw[i] += grad[i] * row[i] * inv;
        }
    }
    (dx, dw)
}
