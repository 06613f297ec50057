//! Naive gated feed-forward, f64, out of the references of its parts.

use super::super::{linear, swiglu};

/// The three matrices, row-major.
#[derive(Debug, Clone, Copy)]
pub struct Weights<'a> {
    /// `[d_ff, d_model]`.
    pub w1: &'a [f64],
    /// `[d_ff, d_model]`.
    pub w3: &'a [f64],
    /// `[d_model, d_ff]`.
    pub w2: &'a [f64],
    /// Width of `x`.
    pub d_model: usize,
}

/// Gradients of [`forward`].
#[derive(Debug)]
pub struct Gradients {
    /// Of `x`.
    pub dx: Vec<f64>,
    /// Of `w1`.
    pub dw1: Vec<f64>,
    /// Of `w3`.
    pub dw3: Vec<f64>,
    /// Of `w2`.
    pub dw2: Vec<f64>,
}

/// `(silu(x w1^T) * (x w3^T)) w2^T`, without the residual.
pub fn forward(x: &[f64], w: Weights<'_>) -> Vec<f64> {
    let (gate, up) = (linear::reference::forward(x, w.w1, w.d_model), linear::reference::forward(x, w.w3, w.d_model));
    linear::reference::forward(&swiglu::reference::forward(&gate, &up), w.w2, w.w1.len() / w.d_model)
}

/// Gradients, given that of the output.
pub fn backward(x: &[f64], w: Weights<'_>, grad: &[f64]) -> Gradients {
    let (gate, up) = (linear::reference::forward(x, w.w1, w.d_model), linear::reference::forward(x, w.w3, w.d_model));
    let h = swiglu::reference::forward(&gate, &up);
    let (dh, dw2) = linear::reference::backward(&h, w.w2, w.w1.len() / w.d_model, grad);
    let (dgate, dup) = swiglu::reference::backward(&gate, &up, &dh);
    let (dx1, dw1) = linear::reference::backward(x, w.w1, w.d_model, &dgate);
    let (dx3, dw3) = linear::reference::backward(x, w.w3, w.d_model, &dup);
    Gradients { dx: dx1.iter().zip(&dx3).map(|(a, b)| a + b).collect(), dw1, dw3, dw2 }
}
