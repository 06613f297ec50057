//! Naive linear layer, f64.

/// `y[t, n] = x[t, k] w[n, k]^T`.
pub fn forward(x: &[f64], w: &[f64], k: usize) -> Vec<f64> {
    x.chunks(k)
        .flat_map(|x| w.chunks(k).map(|w| x.iter().zip(w).map(|(a, b)| a * b).sum()).collect::<Vec<f64>>())
        .collect()
}

/// `(dx, dw)`.
pub fn backward(x: &[f64], w: &[f64], k: usize, grad: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let n = w.len() / k;
    let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
    for t in 0..x.len() / k {
        for j in 0..n {
            for i in 0..k {
                dx[t * k + i] += grad[t * n + j] * w[j * k + i];
                dw[j * k + i] += grad[t * n + j] * x[t * k + i];
            }
        }
    }
    (dx, dw)
}
