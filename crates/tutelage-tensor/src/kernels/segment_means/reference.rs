//! Naive means, f64.

use super::Segments;

/// `x[t, d]` -> `[n, d]`.
pub fn forward(x: &[f64], d: usize, segments: &Segments) -> Vec<f64> {
    let mut out = vec![0.0; segments.n() * d];
    for (row, x) in x.chunks_exact(d).enumerate() {
        if let Some(segment) = segments.of_row(row) {
            for (out, x) in out[segment * d..][..d].iter_mut().zip(x) {
                *out += x / segments.size(segment) as f64;
            }
        }
    }
    out
}

/// `dx[t, d]` of the gradient `[n, d]`.
pub fn backward(grad: &[f64], d: usize, segments: &Segments) -> Vec<f64> {
    let mut out = vec![0.0; segments.n_rows() * d];
    for (row, out) in out.chunks_exact_mut(d).enumerate() {
        if let Some(segment) = segments.of_row(row) {
            for (out, grad) in out.iter_mut().zip(&grad[segment * d..][..d]) {
                *out = grad / segments.size(segment) as f64;
            }
        }
    }
    out
}
