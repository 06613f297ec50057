//! The references themselves, against finite differences in f64.

use tutelage_tensor::kernels::attention::{AttentionShape, reference::Inputs};
use tutelage_tensor::kernels::experts::reference::Mixture;
use tutelage_tensor::kernels::{bias, feed_forward, head_norm, linear, rms_norm, swiglu};
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
    for (window, d_rotary) in [(None, 4), (Some(2), 2)] {
        let shape = AttentionShape { n_heads: 4, n_kv_heads: 2, d_head: 4, window };
        let positions = [0, 1, 2, 0, 1];
        let inputs = Inputs { shape, theta: 100.0, d_rotary, positions: &positions, documents: &[0..3, 3..5] };
        let (qkv, g) = (wave(5 * shape.qkv_width(), 1, 1.0), wave(5 * shape.out_width(), 2, 1.0));
        close("dqkv", &inputs.backward(&qkv, &g), &finite_difference(&qkv, |x| dot(&inputs.forward(x), &g)));
    }
}

#[test]
fn head_norm_gradients() {
    let shape = AttentionShape { n_heads: 4, n_kv_heads: 2, d_head: 3, window: None };
    let (qkv, g) = (wave(2 * shape.qkv_width(), 1, 1.0), wave(2 * shape.qkv_width(), 2, 1.0));
    let (q, k) = (wave(3, 3, 1.0), wave(3, 4, 1.0));
    let value = |qkv: &[f64], q: &[f64], k: &[f64]| dot(&head_norm::reference::forward(qkv, shape, [q, k], 1e-5), &g);
    let (dqkv, [dq, dk]) = head_norm::reference::backward(&qkv, shape, [&q, &k], 1e-5, &g);
    close("dqkv", &dqkv, &finite_difference(&qkv, |x| value(x, &q, &k)));
    close("dq", &dq, &finite_difference(&q, |q| value(&qkv, q, &k)));
    close("dk", &dk, &finite_difference(&k, |k| value(&qkv, &q, k)));
}

#[test]
fn bias_gradients() {
    let (x, b, g) = (wave(12, 1, 1.0), wave(4, 2, 1.0), wave(12, 3, 1.0));
    let expected = finite_difference(&b, |b| dot(&bias::reference::forward(&x, b), &g));
    close("dbias", &bias::reference::backward(&g, 4), &expected);
}

#[test]
fn mixture_gradients() {
    let (t, d, d_ff, n) = (5, 3, 4, 4);
    let (x, g, router) = (wave(t * d, 1, 1.0), wave(t * d, 2, 1.0), wave(n * d, 3, 1.0));
    let weights: Vec<Vec<f64>> = (0..3 * n as u64).map(|seed| wave(d_ff * d, 4 + seed, 1.0)).collect();
    let value = |x: &[f64], router: &[f64], weights: &[Vec<f64>]| {
        let mixture = mixture(router, weights, d);
        dot(&mixture.forward(x), &g) + 0.7 * mixture.balance(x)
    };
    let found = mixture(&router, &weights, d).backward(&x, &g, 0.7);
    close("dx", &found.dx, &finite_difference(&x, |x| value(x, &router, &weights)));
    close("drouter", &found.drouter, &finite_difference(&router, |r| value(&x, r, &weights)));
    for (e, gradients) in found.experts.iter().enumerate() {
        for (i, gradient) in [&gradients.dw1, &gradients.dw3, &gradients.dw2].into_iter().enumerate() {
            let changed = |w: &[f64]| {
                let mut all = weights.clone();
                all[3 * e + i] = w.to_vec();
                value(&x, &router, &all)
            };
            close("expert", gradient, &finite_difference(&weights[3 * e + i], changed));
        }
    }
}

fn mixture<'a>(router: &'a [f64], weights: &'a [Vec<f64>], d_model: usize) -> Mixture<'a> {
    let expert = |w: &'a [Vec<f64>]| feed_forward::reference::Weights { w1: &w[0], w3: &w[1], w2: &w[2], d_model };
    Mixture { router, k: 2, experts: weights.chunks(3).map(expert).collect() }
}
