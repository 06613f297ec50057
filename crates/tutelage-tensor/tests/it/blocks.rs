//! What only some families have, against references, forward and backward, for every instruction set and precision.

use std::sync::Arc;

use tutelage_tensor::kernels::attention::AttentionShape;
use tutelage_tensor::kernels::experts::reference::Mixture;
use tutelage_tensor::kernels::experts::{ExpertLoad, Experts};
use tutelage_tensor::kernels::feed_forward::{self, FeedForward};
use tutelage_tensor::kernels::head_norm::{self, HeadNorms};
use tutelage_tensor::kernels::{bias, columns, rms_norm};
use tutelage_tensor::{Grads, Params, Precision, Tape, Tensor};
use tutelage_testkit::{assert_close, wave};

use crate::ops::{check, modes};
use crate::support::{activation, narrow, one_param, rounded, wide};

#[test]
fn biases_agree() {
    let (t, n) = (70, 83);
    for (device, precision) in modes() {
        let (b, x, g) = (wave(n, 1, 1.0), wave(t * n, 2, 1.0), wave(t * n, 3, 1.0));
        let (params, id) = one_param(&device, precision, &[n], &b);
        let mut tape = Tape::training(&params);
        let leaf = tape.leaf(activation(&params, &[t, n], &x));
        let y = tape.bias(&leaf, id);
        check("y", precision, &y.value().to_vec(), &bias::reference::forward(&rounded(&params, &x), &b));
        let mut grads = Grads::zeros(&params);
        let nodes = tape.backward(&y, activation(&params, &[t, n], &g), &mut grads);
        let g = rounded(&params, &g);
        check("dx", Precision::F32, &nodes.of(&leaf).unwrap().to_vec(), &g);
        check("dbias", Precision::F32, grads.get(id), &bias::reference::backward(&g, n));
    }
}

#[test]
fn norms_of_heads_agree() {
    let (t, shape) = (70, AttentionShape { n_heads: 4, n_kv_heads: 2, d_head: 18, window: None });
    let (d, width) = (shape.d_head, shape.qkv_width());
    for (device, precision) in modes() {
        let (q, k) = (wave(d, 1, 1.0), wave(d, 2, 1.0));
        let (qkv, g) = (wave(t * width, 3, 2.0), wave(t * width, 4, 1.0));
        let mut params = Params::new(&device, precision);
        let norms = HeadNorms { queries: params.push("q", [d], &narrow(&q)), keys: params.push("k", [d], &narrow(&k)) };
        let mut tape = Tape::training(&params);
        let leaf = tape.leaf(activation(&params, &[t, width], &qkv));
        let y = tape.head_norm(&leaf, shape, norms, 1e-5);
        let (qkv, g_r) = (rounded(&params, &qkv), rounded(&params, &g));
        let expected = head_norm::reference::forward(&qkv, shape, [&q, &k], 1e-5);
        check("y", precision, &y.value().to_vec(), &expected);
        let mut grads = Grads::zeros(&params);
        let nodes = tape.backward(&y, activation(&params, &[t, width], &g), &mut grads);
        let (dqkv, [dq, dk]) = head_norm::reference::backward(&qkv, shape, [&q, &k], 1e-5, &g_r);
        check("dqkv", precision, &nodes.of(&leaf).unwrap().to_vec(), &dqkv);
        check("dq", precision, grads.get(norms.queries), &dq);
        check("dk", precision, grads.get(norms.keys), &dk);
    }
}

#[test]
fn norms_added_to_a_residual_agree() {
    let (t, d) = (70, 83);
    for (device, precision) in modes() {
        let (w, x, r, g) = (wave(d, 1, 1.0), wave(t * d, 2, 2.0), wave(t * d, 3, 1.0), wave(t * d, 4, 1.0));
        let (params, id) = one_param(&device, precision, &[d], &w);
        let wide_tensor = |x: &[f64]| Tensor::from_f32(&device, [t, d], &narrow(x));
        let mut tape = Tape::training(&params);
        let (leaf, residual) = (tape.leaf(wide_tensor(&x)), tape.leaf(wide_tensor(&r)));
        let y = tape.rms_norm_add(&leaf, id, 1e-5, &residual);
        let normed = rms_norm::reference::forward(&x, &w, 1e-5);
        let expected: Vec<f64> = normed.iter().zip(&r).map(|(a, b)| a + b).collect();
        check("y", Precision::F32, &y.value().to_vec(), &expected);
        let mut grads = Grads::zeros(&params);
        let nodes = tape.backward(&y, wide_tensor(&g), &mut grads);
        let (dx, dw) = rms_norm::reference::backward(&x, &w, 1e-5, &g);
        check("dx", Precision::F32, &nodes.of(&leaf).unwrap().to_vec(), &dx);
        check("d residual", Precision::F32, &nodes.of(&residual).unwrap().to_vec(), &g);
        check("dw", Precision::F32, grads.get(id), &dw);
    }
}

const D: usize = 32;
const D_FF: usize = 64;
const N: usize = 5;

/// A router and five experts; the last is never chosen.
fn mixture_weights() -> (Vec<f64>, Vec<[Vec<f64>; 3]>) {
    let mut router = wave(N * D, 3, 1.0);
    router[(N - 1) * D..].fill(0.0);
    router[(N - 1) * D] = -100.0;
    let experts = (0..N as u64).map(|e| [0, 1, 2].map(|i| wave(D_FF * D, 10 + 3 * e + i, 0.3))).collect();
    (router, experts)
}

#[test]
fn mixtures_agree() {
    let t = 45;
    let (router, experts) = mixture_weights();
    for (device, precision) in modes() {
        let mut x = wave(t * D, 1, 1.0);
        x.iter_mut().step_by(D).for_each(|x| *x = x.abs() + 0.1);
        let (r, g) = (wave(t * D, 4, 1.0), wave(t * D, 5, 1.0));
        let mut params = Params::new(&device, precision);
        let router_id = params.push("router", [N, D], &narrow(&router));
        let ids: Vec<FeedForward> = experts
            .iter()
            .map(|[w1, w3, w2]| FeedForward {
                w1: params.push("w1", [D_FF, D], &narrow(w1)),
                w3: params.push("w3", [D_FF, D], &narrow(w3)),
                w2: params.push("w2", [D, D_FF], &narrow(w2)),
            })
            .collect();
        let rounded_experts: Vec<[Vec<f64>; 3]> =
            experts.iter().map(|all| all.clone().map(|w| rounded(&params, &w))).collect();
        let (x_r, router_r) = (rounded(&params, &x), rounded(&params, &router));
        let reference = Mixture {
            router: &router_r,
            k: 2,
            experts: rounded_experts
                .iter()
                .map(|[w1, w3, w2]| feed_forward::reference::Weights { w1, w3, w2, d_model: D })
                .collect(),
        };
        let load = Arc::new(ExpertLoad::new(1, 3.0));
        let mut tape = Tape::training(&params);
        let leaf = tape.leaf(activation(&params, &[t, D], &x));
        let residual = tape.leaf(Tensor::from_f32(&device, [t, D], &narrow(&r)));
        let mixture = Experts { router: router_id, k: 2, experts: &ids };
        let y = tape.experts(&leaf, mixture, Some(&residual), Some((&load, 0)));
        let expected: Vec<f64> = reference.forward(&x_r).iter().zip(&r).map(|(a, b)| a + b).collect();
        check("y", precision, &y.value().to_vec(), &expected);
        assert_close("balance", &[load.loss()], &[reference.balance(&x_r)], 0.0, 1e-4);
        assert!(load.largest_share() >= 1.0 && load.largest_share() <= N as f64 / 2.0);
        let mut grads = Grads::zeros(&params);
        let nodes = tape.backward(&y, Tensor::from_f32(&device, [t, D], &narrow(&g)), &mut grads);
        let expected = reference.backward(&x_r, &g, 3.0);
        check("d residual", Precision::F32, &nodes.of(&residual).unwrap().to_vec(), &g);
        check("dx", precision, &nodes.of(&leaf).unwrap().to_vec(), &expected.dx);
        check("drouter", precision, grads.get(router_id), &expected.drouter);
        for (ids, expected) in ids.iter().zip(&expected.experts) {
            check("dw1", precision, grads.get(ids.w1), &expected.dw1);
            check("dw3", precision, grads.get(ids.w3), &expected.dw3);
            check("dw2", precision, grads.get(ids.w2), &expected.dw2);
        }
        assert!(wide(grads.get(ids[N - 1].w1)).iter().all(|&x| x == 0.0), "an expert without rows has no gradient");
    }
}

#[test]
fn added_columns_agree() {
    let (t, n, m) = (70, 24, 9);
    let map: Vec<Option<usize>> = (0..m).map(|j| (j % 4 != 3).then_some((j * 7 + 2) % n)).collect();
    let narrow_map: Arc<[Option<u32>]> = map.iter().map(|to| to.map(|to| to as u32)).collect();
    // Into activations, and into a residual stream.
    for ((device, precision), in_f32) in modes().flat_map(|mode| [(mode.clone(), false), (mode, true)]) {
        let params = Params::new(&device, precision);
        let (x, y, g) = (wave(t * n, 1, 1.0), wave(t * m, 2, 1.0), wave(t * n, 3, 1.0));
        let own = |x: &[f64]| match in_f32 {
            true => Tensor::from_f32(&device, [t, n], &narrow(x)),
            false => activation(&params, &[t, n], x),
        };
        let mut tape = Tape::training(&params);
        let (x_leaf, y_leaf) = (tape.leaf(own(&x)), tape.leaf(activation(&params, &[t, m], &y)));
        let out = tape.add_columns(&x_leaf, &y_leaf, &narrow_map, 0.5);
        let (x, y, g_own) = (wide(&own(&x).to_vec()), rounded(&params, &y), wide(&own(&g).to_vec()));
        check("out", precision, &out.value().to_vec(), &columns::reference::forward(&x, &y, &map, n, 0.5));
        let nodes = tape.backward(&out, own(&g), &mut Grads::zeros(&params));
        check("dx", Precision::F32, &nodes.of(&x_leaf).unwrap().to_vec(), &g_own);
        let expected = columns::reference::backward(&g_own, &map, n, 0.5);
        check("dy", precision, &nodes.of(&y_leaf).unwrap().to_vec(), &expected);
    }
}

/// Gradients pass through fixed weights as through others, and the weights have none.
#[test]
fn fixed_weights_pass_gradients_on() {
    let (t, d, d_ff) = (33, 32, 64);
    for (device, precision) in modes() {
        let run = |mut params: Params| {
            let norm = params.push("norm", [d], &narrow(&wave(d, 1, 1.0)));
            let w1 = params.push("w1", [d_ff, d], &narrow(&wave(d_ff * d, 2, 0.3)));
            let w3 = params.push("w3", [d_ff, d], &narrow(&wave(d_ff * d, 3, 0.3)));
            let w2 = params.push("w2", [d, d_ff], &narrow(&wave(d * d_ff, 4, 0.3)));
            params.learn();
            let learned = params.push("learned", [d, d], &narrow(&wave(d * d, 5, 0.3)));
            let mut grads = Grads::zeros(&params);
            let mut tape = Tape::training(&params);
            let x = tape.leaf(Tensor::from_f32(&device, [t, d], &narrow(&wave(t * d, 6, 1.0))));
            let h = tape.rms_norm(&x, norm, 1e-5);
            let y = tape.linear(&h, learned);
            let y = tape.feed_forward(&y, FeedForward { w1, w3, w2 }, Some(&x));
            let nodes = tape.backward(&y, Tensor::from_f32(&device, [t, d], &narrow(&wave(t * d, 7, 1.0))), &mut grads);
            assert_eq!(params.learned().count() + params.iter().filter(|(_, p)| p.is_fixed()).count(), 5);
            (grads.get(learned).to_vec(), nodes.of(&x).unwrap().to_vec())
        };
        assert!(run(Params::fixed(&device, precision)) == run(Params::new(&device, precision)));
    }
}
