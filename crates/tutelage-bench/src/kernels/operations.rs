//! The operations of a step and what they cost at least.

use std::ops::Range;
use std::sync::Arc;

use tutelage_loss::Mixture;
use tutelage_run::RandomStream;
use tutelage_tensor::kernels::adamw::{AdamWStep, adamw};
use tutelage_tensor::kernels::attention::{AttentionShape, RopeTable};
use tutelage_tensor::kernels::feed_forward::FeedForward;
use tutelage_tensor::{Device, Grads, ParamId, Params, Precision, Tape, Tensor};

use super::{Bench, Cost, Operation, references};
use crate::Shape;

const BF16: f64 = 2.0;
const F32: f64 = 4.0;

/// A model's parameters at a shape, one of each kind.
struct Weights {
    params: Params,
    norm: ParamId,
    qkv: ParamId,
    out: ParamId,
    feed_forward: FeedForward,
    head: ParamId,
    table: ParamId,
}

impl Weights {
    fn new(shape: &Shape, qkv_width: usize, device: &Device) -> Self {
        let (d, d_ff, v) = (shape.d_model, shape.d_ff, shape.vocab_size);
        let mut params = Params::new(device, Precision::Bf16);
        let mut random = RandomStream::new(1, "bench weights");
        let mut values = |n: usize| (0..n).map(|_| 0.02 * random.normal() as f32).collect::<Vec<f32>>();
        let norm = params.push("norm", [d], &vec![1.0; d]);
        let qkv = params.push("qkv", [qkv_width, d], &values(qkv_width * d));
        let out = params.push("out", [d, d], &values(d * d));
        let feed_forward = FeedForward {
            w1: params.push("w1", [d_ff, d], &values(d_ff * d)),
            w3: params.push("w3", [d_ff, d], &values(d_ff * d)),
            w2: params.push("w2", [d, d_ff], &values(d * d_ff)),
        };
        let head = params.push("head", [v, d], &values(v * d));
        let table = params.push_table("table", [v, d], &values(v * d));
        Self { params, norm, qkv, out, feed_forward, head, table }
    }
}

/// Measures all of them.
pub(super) fn all(shape: &Shape, bench: &mut Bench<'_>) {
    let config = shape.config();
    let heads = AttentionShape {
        n_heads: shape.n_heads,
        n_kv_heads: shape.n_kv_heads,
        d_head: shape.d_model / shape.n_heads,
        window: None,
    };
    let mut weights = Weights::new(shape, heads.qkv_width(), bench.device);
    let (t, d) = (shape.tokens(), shape.d_model);
    let ids: Vec<i32> = {
        let mut random = RandomStream::new(2, "bench ids");
        (0..t).map(|_| random.below(shape.vocab_size as u64) as i32).collect()
    };
    embedding(bench, &weights, &ids, d);
    norm(bench, &weights, t, d);
    linear(bench, &weights, t, d, heads.qkv_width());
    let rope = Arc::new(RopeTable::new(heads.d_head, config.rope_theta, shape.seq_len));
    attention(bench, &weights, shape, heads, &rope);
    linear_add(bench, &weights, t, d);
    feed_forward(bench, &weights, shape);
    loss(bench, &weights, shape, &ids);
    optimizer(bench, &mut weights, shape);
}

fn random(device: &Device, rows: usize, columns: usize, precision: Precision) -> Tensor {
    let mut random = RandomStream::new(3, "bench activations");
    let values: Vec<f32> = (0..rows * columns).map(|_| random.normal() as f32).collect();
    Tensor::rounded(device, [rows, columns], &values, precision.activation())
}

/// Two passes of products: the backward pass makes two of the same size.
fn costs(products: f64, forward_bytes: f64, backward_bytes: f64) -> (Cost, Cost) {
    (Cost { flops: 2.0 * products, bytes: forward_bytes }, Cost { flops: 4.0 * products, bytes: backward_bytes })
}

fn embedding(bench: &mut Bench<'_>, w: &Weights, ids: &[i32], d: usize) {
    let n = (ids.len() * d) as f64;
    let (forward, backward) = costs(0.0, 2.0 * F32 * n, 2.0 * F32 * n);
    let reference = references::table(ids, w.params.get(w.table).shape()[0], d);
    let sizes = format!("{} rows of {d}", ids.len());
    let op =
        Operation { name: "embedding", sizes, forward, backward, reference, params: &w.params, inputs: Vec::new() };
    bench.tape(op, |tape, _| tape.embedding(ids, w.table));
}

fn norm(bench: &mut Bench<'_>, w: &Weights, t: usize, d: usize) {
    let n = (t * d) as f64;
    let (forward, backward) = costs(0.0, (F32 + BF16) * n, (2.0 * F32 + BF16) * n);
    let inputs = vec![random(bench.device, t, d, Precision::F32)];
    let (sizes, reference) = (format!("{t} x {d}"), references::norm(t, d));
    let op = Operation { name: "rms norm", sizes, forward, backward, reference, params: &w.params, inputs };
    bench.tape(op, |tape, x| tape.rms_norm(&x[0], w.norm, 1e-5));
}

fn linear(bench: &mut Bench<'_>, w: &Weights, t: usize, k: usize, n: usize) {
    let (x, y, weight) = ((t * k) as f64, (t * n) as f64, (n * k) as f64);
    let (forward, backward) =
        costs(x * n as f64, BF16 * (x + y + weight), BF16 * (2.0 * x + y + weight) + F32 * weight);
    let inputs = vec![random(bench.device, t, k, Precision::Bf16)];
    let (sizes, reference) = (format!("{t} x {k} -> {n}"), references::product(t, n, k));
    let op = Operation { name: "linear", sizes, forward, backward, reference, params: &w.params, inputs };
    bench.tape(op, |tape, x| tape.linear(&x[0], w.qkv));
}

fn linear_add(bench: &mut Bench<'_>, w: &Weights, t: usize, d: usize) {
    let (x, weight) = ((t * d) as f64, (d * d) as f64);
    let (forward, backward) =
        costs(x * d as f64, BF16 * (x + weight) + 2.0 * F32 * x, BF16 * (2.0 * x + weight) + F32 * (x + weight));
    let inputs = vec![random(bench.device, t, d, Precision::Bf16), random(bench.device, t, d, Precision::F32)];
    let (sizes, reference) = (format!("{t} x {d} -> {d}"), references::product(t, d, d));
    let op = Operation { name: "linear, added", sizes, forward, backward, reference, params: &w.params, inputs };
    bench.tape(op, |tape, x| tape.linear_add(&x[0], w.out, Some(&x[1])));
}

fn attention(bench: &mut Bench<'_>, w: &Weights, shape: &Shape, heads: AttentionShape, rope: &Arc<RopeTable>) {
    let (t, len) = (shape.tokens(), shape.seq_len);
    let positions: Vec<i32> = (0..t).map(|i| (i % len) as i32).collect();
    let documents: Vec<Range<usize>> = (0..shape.batch_size).map(|i| i * len..(i + 1) * len).collect();
    // Scores and weighted sums over half of the square; backward, both again, and a product more for the scores.
    let square = (t * len * heads.out_width()) as f64;
    let (qkv, out) = ((t * heads.qkv_width()) as f64, (t * heads.out_width()) as f64);
    let forward = Cost { flops: 2.0 * square, bytes: BF16 * (qkv + out) };
    let backward = Cost { flops: 5.0 * square, bytes: BF16 * (2.0 * qkv + 2.0 * out) };
    let inputs = vec![random(bench.device, t, heads.qkv_width(), Precision::Bf16)];
    let sizes =
        format!("{} x {len}, {} of {} heads of {}", shape.batch_size, heads.n_kv_heads, heads.n_heads, heads.d_head);
    let reference = references::attention(heads, shape.batch_size, len);
    let op = Operation { name: "attention", sizes, forward, backward, reference, params: &w.params, inputs };
    bench.tape(op, |tape, x| tape.attention(&x[0], heads, rope, &positions, &documents));
}

fn feed_forward(bench: &mut Bench<'_>, w: &Weights, shape: &Shape) {
    let (t, d, d_ff) = (shape.tokens(), shape.d_model, shape.d_ff);
    let (x, h, weight) = ((t * d) as f64, (t * d_ff) as f64, (3 * d * d_ff) as f64);
    let (forward, backward) = costs(
        3.0 * x * d_ff as f64,
        BF16 * (x + 3.0 * h + weight) + 2.0 * F32 * x,
        BF16 * (2.0 * x + 3.0 * h + weight) + F32 * (x + weight),
    );
    let inputs = vec![random(bench.device, t, d, Precision::Bf16), random(bench.device, t, d, Precision::F32)];
    let (sizes, reference) = (format!("{t} x {d} -> {d_ff} -> {d}"), references::gated(t, d, d_ff));
    let op = Operation { name: "feed-forward", sizes, forward, backward, reference, params: &w.params, inputs };
    bench.tape(op, |tape, x| tape.feed_forward(&x[0], w.feed_forward, Some(&x[1])));
}

/// The output layer with its loss: forward alone, and both passes together.
fn loss(bench: &mut Bench<'_>, w: &Weights, shape: &Shape, labels: &[i32]) {
    let (t, d, v) = (shape.tokens(), shape.d_model, shape.vocab_size);
    let objective = Mixture::text(labels, 1.0 / t as f32);
    let hidden = random(bench.device, t, d, Precision::Bf16);
    let (x, weight) = ((t * d) as f64, (v * d) as f64);
    let products = x * v as f64;
    let sizes = format!("{t} x {d} -> {v}");
    let reference = references::loss(t, v, d);
    let forward = bench.time(|| {
        let mut tape = Tape::inference(&w.params);
        let hidden = tape.leaf(hidden.clone());
        tape.linear_loss(&hidden, w.head, None, &objective);
    });
    let cost = Cost { flops: 2.0 * products, bytes: BF16 * (x + weight) };
    bench.record(("output and loss", "forward"), &sizes, cost, forward, reference / 3.0);
    let mut grads = Grads::zeros(&w.params);
    let both = bench.time(|| {
        grads.clear();
        let mut tape = Tape::training(&w.params);
        let hidden = tape.leaf(hidden.clone());
        tape.linear_loss_backward(&hidden, w.head, None, &objective, &mut grads);
    });
    let cost = Cost { flops: 6.0 * products, bytes: BF16 * (2.0 * x + 2.0 * weight) + F32 * weight };
    bench.record(("output and loss", "both"), &sizes, cost, both, reference);
}

/// One matrix of the feed-forward, with both packed copies.
fn optimizer(bench: &mut Bench<'_>, w: &mut Weights, shape: &Shape) {
    let (id, n) = (w.feed_forward.w1, shape.d_model * shape.d_ff);
    let mut grads = Grads::zeros(&w.params);
    grads.get_mut(id).fill(1e-3);
    let (mut m, mut v) = (vec![0.0; n], vec![0.0; n]);
    let step = AdamWStep { lr: 1e-4, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, t: 1, grad_scale: 1.0 };
    let params = &mut w.params;
    let seconds = bench.time(|| adamw(params, id, step, &grads, &mut m, &mut v));
    // Four arrays read, three written, and both copies.
    let cost = Cost { flops: 0.0, bytes: n as f64 * (7.0 * F32 + 2.0 * BF16) };
    bench.record(
        ("adamw", "step"),
        &format!("{} x {}", shape.d_ff, shape.d_model),
        cost,
        seconds,
        references::update(n),
    );
}
