//! Operations in f32 against PyTorch; `fixtures/ops/make.py` writes what is compared.

use std::sync::Arc;

use tutelage_tensor::kernels::adamw::{AdamWStep, adamw};
use tutelage_tensor::kernels::attention::{AttentionShape, RopeTable};
use tutelage_tensor::{Grads, ParamId, Params, Precision, Tape, Tensor, Var};
use tutelage_testkit::{Fixture, assert_close};

use crate::support::{device, narrow, wide};

fn fixture() -> Fixture {
    Fixture::open(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ops/ops.safetensors"))
}

fn close(what: &str, found: &[f32], expected: &[f64]) {
    assert_close(what, &wide(found), expected, 1e-5, 1e-5);
}

/// Runs `op` on the named inputs and parameters; compares its value and every gradient.
fn compare(op: &str, inputs: &[&str], weights: &[&str], run: impl FnOnce(&mut Tape<'_>, &[Var], &[ParamId]) -> Var) {
    let (fixture, device) = (fixture(), device(2));
    let array = |name: &str| fixture.get(&format!("{op}.{name}"));
    let mut params = Params::new(&device, Precision::F32);
    let ids: Vec<ParamId> = weights
        .iter()
        .map(|name| {
            let (shape, values) = array(name);
            params.push(*name, shape, &narrow(&values))
        })
        .collect();
    let mut tape = Tape::training(&params);
    let leaves: Vec<Var> = inputs
        .iter()
        .map(|name| {
            let (shape, values) = array(name);
            tape.leaf(Tensor::from_f32(&device, shape, &narrow(&values)))
        })
        .collect();
    let y = run(&mut tape, &leaves, &ids);
    close("out", &y.value().to_vec(), &array("out").1);
    let (shape, grad) = array("grad");
    let mut grads = Grads::zeros(&params);
    let nodes = tape.backward(&y, Tensor::from_f32(&device, shape, &narrow(&grad)), &mut grads);
    for (name, leaf) in inputs.iter().zip(&leaves) {
        close(name, &nodes.of(leaf).unwrap().to_vec(), &array(&format!("d{name}")).1);
    }
    for (name, &id) in weights.iter().zip(&ids) {
        close(name, grads.get(id), &array(&format!("d{name}")).1);
    }
}

#[test]
fn linear() {
    compare("linear", &["x"], &["w"], |tape, x, w| tape.linear(&x[0], w[0]));
}

#[test]
fn rms_norm() {
    compare("rms_norm", &["x"], &["w"], |tape, x, w| tape.rms_norm(&x[0], w[0], 1e-5));
}

#[test]
fn swiglu() {
    compare("swiglu", &["gate", "up"], &[], |tape, x, _| tape.swiglu(&x[0], &x[1]));
}

#[test]
fn embedding() {
    let ids: Vec<i32> = fixture().get("embedding.ids").1.iter().map(|&id| id as i32).collect();
    compare("embedding", &[], &["table"], |tape, _, w| tape.embedding(&ids, w[0]));
}

#[test]
fn attention() {
    let shape = AttentionShape { n_heads: 4, n_kv_heads: 2, d_head: 8, window: None };
    let positions: Vec<i32> = (0..7).chain(0..12).collect();
    let rope = Arc::new(RopeTable::new(8, 1e4, 16));
    compare("attention", &["qkv"], &[], |tape, x, _| tape.attention(&x[0], shape, &rope, &positions, &[0..7, 7..19]));
}

#[test]
fn optimizer() {
    let (fixture, device) = (fixture(), device(1));
    let array = |name: &str| narrow(&fixture.get(&format!("adamw.{name}")).1);
    let mut params = Params::new(&device, Precision::F32);
    let id = params.push("w", [50], &array("before"));
    let (mut m, mut v) = (vec![0.0; 50], vec![0.0; 50]);
    for t in 1..=3u64 {
        let step = AdamWStep { lr: 0.01, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, t, grad_scale: 1.0 };
        let mut grads = Grads::zeros(&params);
        grads.get_mut(id).copy_from_slice(&array(&format!("grad{}", t - 1)));
        adamw(&mut params, id, step, &grads, &mut m, &mut v);
    }
    close("after", params.get(id).values(), &fixture.get("adamw.after").1);
}
