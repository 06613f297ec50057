//! How long the naive references take: on few rows, scaled to all.

use std::time::Instant;

use tutelage_tensor::kernels::attention::AttentionShape;
use tutelage_tensor::kernels::attention::reference::Inputs;
use tutelage_tensor::kernels::{adamw, embedding, feed_forward, linear, linear_loss, rms_norm};

use super::ReferenceTimes;

/// Products of a reference that are enough to time it.
const ENOUGH: f64 = 1e8;

/// Rows of `n_rows` whose products are about enough, `products` each.
fn rows_for(n_rows: usize, products: usize) -> usize {
    ((ENOUGH / products as f64) as usize).clamp(1, n_rows)
}

fn time<R>(work: impl FnOnce() -> R) -> f64 {
    let begun = Instant::now();
    std::hint::black_box(work());
    begun.elapsed().as_secs_f64()
}

fn values(n: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * 7919 % 1009) as f64 / 504.5 - 1.0) * 0.1).collect()
}

fn scaled(factor: f64, forward: f64, backward: f64) -> ReferenceTimes {
    ReferenceTimes { forward: factor * forward, backward: factor * backward }
}

pub(super) fn norm(t: usize, d: usize) -> ReferenceTimes {
    let (x, w) = (values(t * d), values(d));
    scaled(
        1.0,
        time(|| rms_norm::reference::forward(&x, &w, 1e-5)),
        time(|| rms_norm::reference::backward(&x, &w, 1e-5, &x)),
    )
}

pub(super) fn product(t: usize, n: usize, k: usize) -> ReferenceTimes {
    let rows = rows_for(t, n * k);
    let (x, w, grad) = (values(rows * k), values(n * k), values(rows * n));
    let forward = time(|| linear::reference::forward(&x, &w, k));
    scaled(t as f64 / rows as f64, forward, time(|| linear::reference::backward(&x, &w, k, &grad)))
}

pub(super) fn gated(t: usize, d: usize, d_ff: usize) -> ReferenceTimes {
    let rows = rows_for(t, 3 * d * d_ff);
    let (x, w) = (values(rows * d), values(d * d_ff));
    let weights = feed_forward::reference::Weights { w1: &w, w3: &w, w2: &w, d_model: d };
    let forward = time(|| feed_forward::reference::forward(&x, weights));
    scaled(t as f64 / rows as f64, forward, time(|| feed_forward::reference::backward(&x, weights, &x)))
}

/// One document of at most 256 tokens, scaled by the square of the length.
pub(super) fn attention(shape: AttentionShape, documents: usize, len: usize) -> ReferenceTimes {
    let rows = len.min(256);
    let positions: Vec<i32> = (0..rows as i32).collect();
    let document = 0..rows;
    let inputs = Inputs {
        shape,
        theta: 1e4,
        d_rotary: shape.d_head,
        positions: &positions,
        documents: std::slice::from_ref(&document),
    };
    let (qkv, grad) = (values(rows * shape.qkv_width()), values(rows * shape.out_width()));
    let factor = documents as f64 * (len as f64 / rows as f64).powi(2);
    scaled(factor, time(|| inputs.forward(&qkv)), time(|| inputs.backward(&qkv, &grad)))
}

pub(super) fn table(ids: &[i32], v: usize, d: usize) -> ReferenceTimes {
    let (w, grad) = (values(v * d), values(ids.len() * d));
    let forward = time(|| embedding::reference::forward(ids, &w, d));
    scaled(1.0, forward, time(|| embedding::reference::backward(ids, &grad, v, d)))
}

/// Loss and gradients together.
pub(super) fn loss(t: usize, v: usize, d: usize) -> f64 {
    let rows = rows_for(t, 3 * v * d);
    let (hidden, head, labels) = (values(rows * d), values(v * d), vec![1; rows]);
    t as f64 / rows as f64 * time(|| linear_loss::reference::cross_entropy(&hidden, &head, d, &labels, 1.0))
}

pub(super) fn update(n: usize) -> f64 {
    let w = values(n);
    time(|| w.iter().map(|&w| adamw::reference::step((w, 0.0, 0.0), w, (1e-3, 0.9, 0.95, 1e-8, 0.1), 1).0).sum::<f64>())
}
