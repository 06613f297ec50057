//! Naive bias, f64.

/// `x + bias` over rows of `bias.len()`.
pub fn forward(x: &[f64], bias: &[f64]) -> Vec<f64> {
    x.iter().zip(bias.iter().cycle()).map(|(x, b)| x + b).collect()
}

/// `dbias`; the gradient of `x` is that of the sum.
pub fn backward(grad: &[f64], n: usize) -> Vec<f64> {
    (0..n).map(|column| grad.iter().skip(column).step_by(n).sum()).collect()
}
