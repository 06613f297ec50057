//! Naive SwiGLU, f64.

/// `silu(gate) * up`.
pub fn forward(gate: &[f64], up: &[f64]) -> Vec<f64> {
    gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect()
}

/// `(dgate, dup)`.
pub fn backward(gate: &[f64], up: &[f64], grad: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut pairs = (Vec::new(), Vec::new());
    for ((g, u), grad) in gate.iter().zip(up).zip(grad) {
        let sigmoid = 1.0 / (1.0 + (-g).exp());
        pairs.0.push(grad * u * sigmoid * (1.0 + g * (1.0 - sigmoid)));
        pairs.1.push(grad * g * sigmoid);
    }
    pairs
}
