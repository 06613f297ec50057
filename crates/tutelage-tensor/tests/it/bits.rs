//! Same inputs, same bits: for any number of threads, and when a block is computed twice.

use std::sync::Arc;

use tutelage_tensor::kernels::attention::{AttentionShape, RopeTable};
use tutelage_tensor::{Grads, ParamId, Params, Precision, Tape, Tensor, Var};
use tutelage_testkit::wave;

use crate::support::{device, narrow};

const SHAPE: AttentionShape = AttentionShape { n_heads: 4, n_kv_heads: 2, d_head: 16, window: None };
const D: usize = 64;
const T: usize = 200;

struct Ids([ParamId; 4]);

fn block<'p>(tape: &mut Tape<'p>, x: &Var, ids: &Ids, rope: &Arc<RopeTable>) -> Var {
    let positions: Vec<i32> = (0..T as i32).collect();
    let h = tape.rms_norm(x, ids.0[0], 1e-5);
    let qkv = tape.linear(&h, ids.0[1]);
    let out = tape.attention(&qkv, SHAPE, rope, &positions, &[0..90, 90..T]);
    let x = tape.linear_add(&out, ids.0[2], Some(x));
    let gate = tape.linear(&out, ids.0[3]);
    let h = tape.swiglu(&gate, &out);
    tape.linear_add(&h, ids.0[2], Some(&x))
}

/// Gradients of everything, as bits.
fn run(n_threads: usize, precision: Precision, recompute: bool) -> Vec<u32> {
    let device = device(n_threads);
    let mut params = Params::new(&device, precision);
    let mut push = |shape: &[usize], seed| params.push("w", shape, &narrow(&wave(shape.iter().product(), seed, 0.3)));
    let ids = Ids([push(&[D], 1), push(&[SHAPE.qkv_width(), D], 2), push(&[D, D], 3), push(&[D, D], 4)]);
    let rope = Arc::new(RopeTable::new(16, 1e4, T));
    let mut tape = Tape::training(&params);
    let leaf = tape.leaf(Tensor::from_f32(&device, [T, D], &narrow(&wave(T * D, 5, 1.0))));
    let y = if recompute {
        let rope = Arc::clone(&rope);
        tape.recompute(&leaf, move |tape, x| block(tape, x, &ids, &rope))
    } else {
        block(&mut tape, &leaf, &ids, &rope)
    };
    let mut grads = Grads::zeros(&params);
    let nodes = tape.backward(&y, Tensor::from_f32(&device, [T, D], &narrow(&wave(T * D, 6, 1.0))), &mut grads);
    let mut bits: Vec<u32> = y.value().to_vec().iter().map(|x| x.to_bits()).collect();
    bits.extend(nodes.of(&leaf).unwrap().to_vec().iter().map(|x| x.to_bits()));
    for (id, _) in params.iter() {
        bits.extend(grads.get(id).iter().map(|x| x.to_bits()));
    }
    bits
}

#[test]
fn threads_do_not_change_bits() {
    for precision in [Precision::F32, Precision::Bf16] {
        let one = run(1, precision, false);
        assert!(one == run(2, precision, false) && one == run(5, precision, false));
    }
}

#[test]
fn recomputing_a_block_does_not_change_bits() {
    for precision in [Precision::F32, Precision::Bf16] {
        assert!(run(2, precision, false) == run(2, precision, true));
    }
}
