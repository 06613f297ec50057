//! The references themselves, against finite differences in f64.

use tutelage_tensor::kernels::attention::{AttentionShape, reference::Inputs};
use tutelage_tensor::kernels::{linear, rms_norm, swiglu};
use tutelage_testkit::{assert_close, finite_difference, wave};

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn close(what: &str, found: &[f64], expected: &[f64]) {
    assert_close(what, found, expected, 1e-8, 1e-6);
}

#[test]
fn linear_gradients() {
    let (t, n, k) = (3, 4, 5);
    let (x, w, g) = (wave(t * k, 1, 1.0), wave(n * k, 2, 1.0), wave(t * n, 3, 1.0));
    let (dx, dw) = linear::reference::backward(&x, &w, k, &g);
    close("dx", &dx, &finite_difference(&x, |x| dot(&linear::reference::forward(x, &w, k), &g)));
    close("dw", &dw, &finite_difference(&w, |w| dot(&linear::reference::forward(&x, w, k), &g)));
}

#[test]
fn norm_gradients() {
    let (t, d) = (3, 7);
    let (x, w, g) = (wave(t * d, 1, 1.0), wave(d, 2, 1.0), wave(t * d, 3, 1.0));
    let (dx, dw) = rms_norm::reference::backward(&x, &w, 1e-5, &g);
    close("dx", &dx, &finite_difference(&x, |x| dot(&rms_norm::reference::forward(x, &w, 1e-5), &g)));
    close("dw", &dw, &finite_difference(&w, |w| dot(&rms_norm::reference::forward(&x, w, 1e-5), &g)));
}

#[test]
fn gated_unit_gradients() {
    let (gate, up, g) = (wave(9, 1, 3.0), wave(9, 2, 1.0), wave(9, 3, 1.0));
    let (dgate, dup) = swiglu::reference::backward(&gate, &up, &g);
    close("dgate", &dgate, &finite_difference(&gate, |x| dot(&swiglu::reference::forward(x, &up), &g)));
    close("dup", &dup, &finite_difference(&up, |x| dot(&swiglu::reference::forward(&gate, x), &g)));
}

#[test]
fn attention_gradients() {
    let shape = AttentionShape { n_heads: 4, n_kv_heads: 2, d_head: 4 };
    let positions = [0, 1, 2, 0, 1];
    let inputs = Inputs { shape, theta: 100.0, positions: &positions, documents: &[0..3, 3..5] };
    let (qkv, g) = (wave(5 * shape.qkv_width(), 1, 1.0), wave(5 * shape.out_width(), 2, 1.0));
    close("dqkv", &inputs.backward(&qkv, &g), &finite_difference(&qkv, |x| dot(&inputs.forward(x), &g)));
}
