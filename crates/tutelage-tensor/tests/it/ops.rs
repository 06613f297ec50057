//! Fast operations against their references, forward and backward, for every instruction set and precision.

use std::ops::Range;
use std::sync::Arc;

use tutelage_tensor::kernels::attention::{AttentionShape, KvPool, RopeTable, Span, reference::Inputs};
use tutelage_tensor::kernels::feed_forward::FeedForward;
use tutelage_tensor::kernels::{embedding, feed_forward, linear, rms_norm, swiglu};
use tutelage_tensor::{Grads, Params, Precision, Tape, Tensor};
use tutelage_testkit::{assert_close, wave};

use crate::support::{activation, device, devices, narrow, one_param, rounded, tolerance, wide};

pub(crate) fn modes() -> impl Iterator<Item = (tutelage_tensor::Device, Precision)> {
    devices().into_iter().flat_map(|d| [(d.clone(), Precision::F32), (d, Precision::Bf16)])
}

pub(crate) fn check(what: &str, precision: Precision, found: &[f32], expected: &[f64]) {
    let (absolute, relative) = tolerance(precision);
    assert_close(what, &wide(found), expected, absolute, relative);
}

#[test]
fn linear_layers_agree() {
    let (t, n, k) = (37, 51, 70);
    for (device, precision) in modes() {
        let (w, x, g) = (wave(n * k, 1, 0.3), wave(t * k, 2, 1.0), wave(t * n, 3, 1.0));
        let (params, id) = one_param(&device, precision, &[n, k], &w);
        let (w, x_r, g_r) = (rounded(&params, &w), rounded(&params, &x), rounded(&params, &g));
        let mut tape = Tape::training(&params);
        let leaf = tape.leaf(activation(&params, &[t, k], &x));
        let y = tape.linear(&leaf, id);
        check("y", precision, &y.value().to_vec(), &linear::reference::forward(&x_r, &w, k));
        let mut grads = Grads::zeros(&params);
        let nodes = tape.backward(&y, activation(&params, &[t, n], &g), &mut grads);
        let (dx, dw) = linear::reference::backward(&x_r, &w, k, &g_r);
        check("dx", precision, &nodes.of(&leaf).unwrap().to_vec(), &dx);
        check("dw", precision, grads.get(id), &dw);
    }
}

#[test]
fn linear_add_passes_the_residual_through() {
    let (t, n, k) = (5, 32, 16);
    for (device, precision) in modes() {
        let (w, x, r, g) = (wave(n * k, 1, 0.3), wave(t * k, 2, 1.0), wave(t * n, 3, 1.0), wave(t * n, 4, 1.0));
        let (params, id) = one_param(&device, precision, &[n, k], &w);
        let mut tape = Tape::training(&params);
        let leaf = tape.leaf(activation(&params, &[t, k], &x));
        let residual = tape.leaf(Tensor::from_f32(&device, [t, n], &narrow(&r)));
        let y = tape.linear_add(&leaf, id, Some(&residual));
        let product = linear::reference::forward(&rounded(&params, &x), &rounded(&params, &w), k);
        let expected: Vec<f64> = product.iter().zip(&r).map(|(a, b)| a + b).collect();
        check("y", precision, &y.value().to_vec(), &expected);
        let mut grads = Grads::zeros(&params);
        let nodes = tape.backward(&y, Tensor::from_f32(&device, [t, n], &narrow(&g)), &mut grads);
        check("d residual", Precision::F32, &nodes.of(&residual).unwrap().to_vec(), &g);
        let (dx, _) =
            linear::reference::backward(&rounded(&params, &x), &rounded(&params, &w), k, &rounded(&params, &g));
        check("dx", precision, &nodes.of(&leaf).unwrap().to_vec(), &dx);
    }
}

#[test]
fn feed_forward_agrees_on_tiles_and_in_parts() {
    let (t, d) = (37, 70);
    // The second width divides into tiles.
    for ((device, precision), d_ff) in modes().flat_map(|mode| [(mode.clone(), 24), (mode, 96)]) {
        let (x, r, g) = (wave(t * d, 4, 1.0), wave(t * d, 5, 1.0), wave(t * d, 6, 1.0));
        let [w1, w3, w2] = [1, 2, 3].map(|seed| wave(d_ff * d, seed, 0.3));
        let mut params = Params::new(&device, precision);
        let ids = FeedForward {
            w1: params.push("w1", [d_ff, d], &narrow(&w1)),
            w3: params.push("w3", [d_ff, d], &narrow(&w3)),
            w2: params.push("w2", [d, d_ff], &narrow(&w2)),
        };
        let [w1, w3, w2] = [w1, w3, w2].map(|w| rounded(&params, &w));
        let weights = feed_forward::reference::Weights { w1: &w1, w3: &w3, w2: &w2, d_model: d };
        let (x_r, g_r) = (rounded(&params, &x), rounded(&params, &g));
        let mut tape = Tape::training(&params);
        let leaf = tape.leaf(activation(&params, &[t, d], &x));
        let residual = tape.leaf(Tensor::from_f32(&device, [t, d], &narrow(&r)));
        let y = tape.feed_forward(&leaf, ids, Some(&residual));
        let unit = feed_forward::reference::forward(&x_r, weights);
        check("y", precision, &y.value().to_vec(), &unit.iter().zip(&r).map(|(a, b)| a + b).collect::<Vec<_>>());
        let mut again = Tape::inference(&params);
        let (x, r) = (again.leaf(leaf.value().clone()), again.leaf(residual.value().clone()));
        assert!(
            again.feed_forward(&x, ids, Some(&r)).value().to_vec() == y.value().to_vec(),
            "with and without a way back"
        );
        let mut grads = Grads::zeros(&params);
        let nodes = tape.backward(&y, Tensor::from_f32(&device, [t, d], &narrow(&g)), &mut grads);
        let expected = feed_forward::reference::backward(&x_r, weights, &g_r);
        check("d residual", Precision::F32, &nodes.of(&residual).unwrap().to_vec(), &g);
        check("dx", precision, &nodes.of(&leaf).unwrap().to_vec(), &expected.dx);
        check("dw1", precision, grads.get(ids.w1), &expected.dw1);
        check("dw3", precision, grads.get(ids.w3), &expected.dw3);
        check("dw2", precision, grads.get(ids.w2), &expected.dw2);
    }
}

#[test]
fn norms_agree() {
    let (t, d) = (70, 83);
    for (device, precision) in modes() {
        let (w, x, g) = (wave(d, 1, 1.0), wave(t * d, 2, 2.0), wave(t * d, 3, 1.0));
        let (params, id) = one_param(&device, precision, &[d], &w);
        let mut tape = Tape::training(&params);
        let leaf = tape.leaf(Tensor::from_f32(&device, [t, d], &narrow(&x)));
        let y = tape.rms_norm(&leaf, id, 1e-5);
        check("y", precision, &y.value().to_vec(), &rms_norm::reference::forward(&x, &w, 1e-5));
        let mut grads = Grads::zeros(&params);
        let nodes = tape.backward(&y, activation(&params, &[t, d], &g), &mut grads);
        let (dx, dw) = rms_norm::reference::backward(&x, &w, 1e-5, &rounded(&params, &g));
        check("dx", precision, &nodes.of(&leaf).unwrap().to_vec(), &dx);
        check("dw", precision, grads.get(id), &dw);
    }
}

#[test]
fn gated_units_agree() {
    let shape = [19, 45];
    let n = 19 * 45;
    for (device, precision) in modes() {
        let params = Params::new(&device, precision);
        let (gate, up, g) = (wave(n, 1, 4.0), wave(n, 2, 1.0), wave(n, 3, 1.0));
        let mut tape = Tape::training(&params);
        let gate_leaf = tape.leaf(activation(&params, &shape, &gate));
        let up_leaf = tape.leaf(activation(&params, &shape, &up));
        let y = tape.swiglu(&gate_leaf, &up_leaf);
        let (gate, up, g_r) = (rounded(&params, &gate), rounded(&params, &up), rounded(&params, &g));
        check("y", precision, &y.value().to_vec(), &swiglu::reference::forward(&gate, &up));
        let mut grads = Grads::zeros(&params);
        let nodes = tape.backward(&y, activation(&params, &shape, &g), &mut grads);
        let (dgate, dup) = swiglu::reference::backward(&gate, &up, &g_r);
        check("dgate", precision, &nodes.of(&gate_leaf).unwrap().to_vec(), &dgate);
        check("dup", precision, &nodes.of(&up_leaf).unwrap().to_vec(), &dup);
    }
}

#[test]
fn embeddings_agree() {
    let (v, d) = (13, 24);
    let ids: Vec<i32> = (0..90).map(|i| i * 7 % 13).collect();
    for (device, precision) in modes() {
        let (table, g) = (wave(v * d, 1, 1.0), wave(ids.len() * d, 2, 1.0));
        let (params, id) = one_param(&device, precision, &[v, d], &table);
        let mut tape = Tape::training(&params);
        let y = tape.embedding(&ids, id);
        check("y", Precision::F32, &y.value().to_vec(), &embedding::reference::forward(&ids, &table, d));
        let mut grads = Grads::zeros(&params);
        tape.backward(&y, Tensor::from_f32(&device, [ids.len(), d], &narrow(&g)), &mut grads);
        check("table", Precision::F32, grads.get(id), &embedding::reference::backward(&ids, &g, v, d));
    }
}

/// Packed rows: documents of lengths 1, 70, 100 (more than a block), a gap of two rows, and 30.
fn packed() -> (Vec<i32>, Vec<Range<usize>>) {
    let documents = vec![0..1, 1..71, 71..171, 173..203];
    let mut positions = vec![0; 203];
    for document in &documents {
        for (p, t) in document.clone().enumerate() {
            positions[t] = p as i32;
        }
    }
    (positions, documents)
}

#[test]
fn attention_agrees_on_packed_documents() {
    let (positions, documents) = packed();
    for (shape, d_rotary) in [
        (AttentionShape { n_heads: 4, n_kv_heads: 2, d_head: 16, window: None }, 16),
        (AttentionShape { n_heads: 3, n_kv_heads: 1, d_head: 32, window: None }, 32),
        (AttentionShape { n_heads: 2, n_kv_heads: 2, d_head: 10, window: None }, 10),
        (AttentionShape { n_heads: 2, n_kv_heads: 1, d_head: 40, window: Some(33) }, 20),
        (AttentionShape { n_heads: 2, n_kv_heads: 2, d_head: 16, window: Some(1) }, 16),
    ] {
        check_attention(shape, d_rotary, &positions, &documents);
    }
}

/// Attention and its gradient against loops, in every mode.
fn check_attention(shape: AttentionShape, d_rotary: usize, positions: &[i32], documents: &[Range<usize>]) {
    let t = positions.len();
    let max_positions = positions.iter().max().map_or(0, |&last| last as usize + 1);
    for (device, precision) in modes() {
        let params = Params::new(&device, precision);
        let (qkv, g) = (wave(t * shape.qkv_width(), 1, 1.5), wave(t * shape.out_width(), 2, 1.0));
        let rope = Arc::new(RopeTable::new(d_rotary, 1e4, max_positions));
        let mut tape = Tape::training(&params);
        let leaf = tape.leaf(activation(&params, &[t, shape.qkv_width()], &qkv));
        let y = tape.attention(&leaf, shape, &rope, positions, documents);
        let (qkv, g_r) = (rounded(&params, &qkv), rounded(&params, &g));
        let inputs = Inputs { shape, theta: 1e4, d_rotary, positions, documents };
        check("out", precision, &y.value().to_vec(), &inputs.forward(&qkv));
        let nodes = tape.backward(&y, activation(&params, &[t, shape.out_width()], &g), &mut Grads::zeros(&params));
        check("dqkv", precision, &nodes.of(&leaf).unwrap().to_vec(), &inputs.backward(&qkv, &g_r));
    }
}

/// Documents longer than the blocks of keys and the groups of queries.
#[test]
fn attention_agrees_on_long_documents() {
    let documents = [0..130, 130..700];
    let positions: Vec<i32> = documents.iter().flat_map(|rows| 0..rows.len() as i32).collect();
    // Windows that end inside, at the end of, and beyond blocks.
    for window in [None, Some(7), Some(64), Some(257), Some(1000)] {
        let shape = AttentionShape { n_heads: 2, n_kv_heads: 1, d_head: 16, window };
        check_attention(shape, 16, &positions, &documents);
    }
}

#[test]
fn a_cache_fed_in_parts_is_attention_over_the_whole() {
    for window in [None, Some(9)] {
        let shape = AttentionShape { n_heads: 4, n_kv_heads: 2, d_head: 16, window };
        let (device, t) = (device(2), 50);
        let params = Params::new(&device, Precision::F32);
        let qkv = wave(t * shape.qkv_width(), 1, 1.5);
        let positions: Vec<i32> = (0..t as i32).collect();
        let documents = [Range { start: 0, end: t }];
        let inputs = Inputs { shape, theta: 1e4, d_rotary: 12, positions: &positions, documents: &documents };
        let expected = inputs.forward(&qkv);
        let rope = RopeTable::new(12, 1e4, 64);
        let mut pool = KvPool::new(&device, &[shape], 1, params.precision().activation());
        let mut found = Vec::new();
        for part in [0..20, 20..21, 21..22, 22..50] {
            let rows = &qkv[part.start * shape.qkv_width()..part.end * shape.qkv_width()];
            let rows = activation(&params, &[part.len(), shape.qkv_width()], rows);
            let is_prompt = part.len() > 1;
            let span = Span { rows: 0..part.len(), first: part.start, pages: &[0], is_prompt };
            found.extend(pool.attend(&device, 0, &rows, (&rope, &positions[part.clone()]), &[span]).to_vec());
        }
        check("out", Precision::F32, &found, &expected);
    }
}
