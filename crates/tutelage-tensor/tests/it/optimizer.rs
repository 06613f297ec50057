//! AdamW and the gradient norm against their references.

use tutelage_tensor::kernels::adamw::{AdamWStep, adamw, grad_squares, reference, sum_of_squares};
use tutelage_tensor::{Grads, ParamId, Params, Precision, Tape, Tensor};
use tutelage_testkit::{assert_close, wave};

use crate::support::{activation, devices, narrow, wide};

#[test]
fn three_steps_agree_and_write_the_packed_copies() {
    // A matrix that does not divide into tiles, one that does, and a vector; more columns than are packed at a time.
    for (device, shape) in
        devices().into_iter().flat_map(|d| [vec![37, 541], vec![64, 320], vec![20_000]].map(|s| (d.clone(), s)))
    {
        let n = shape.iter().product();
        let w = narrow(&wave(n, 1, 1.0));
        let mut params = Params::new(&device, Precision::Bf16);
        let id = params.push("w", shape.clone(), &w);
        let (mut m, mut v) = (vec![0.0; n], vec![0.0; n]);
        let mut slow: Vec<(f64, f64, f64)> = w.iter().map(|&w| (f64::from(w), 0.0, 0.0)).collect();
        for t in 1..=3u64 {
            if shape.len() == 2 {
                // Both copies exist when the second step begins.
                check_products(&params, id);
            }
            let g = narrow(&wave(n, 10 + t, 0.1));
            let step =
                AdamWStep { lr: 0.01, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, t, grad_scale: 0.5 };
            let mut grads = Grads::zeros(&params);
            grads.get_mut(id).copy_from_slice(&g);
            adamw(&mut params, id, step, &grads, &mut m, &mut v);
            for (state, &g) in slow.iter_mut().zip(&g) {
                *state = reference::step(*state, f64::from(g) * 0.5, (0.01, 0.9, 0.95, 1e-8, 0.1), t as i32);
            }
        }
        let column = |i: usize| -> Vec<f64> { slow.iter().map(|s| [s.0, s.1, s.2][i]).collect() };
        assert_close("weights", &wide(params.get(id).values()), &column(0), 2e-6, 1e-5);
        assert_close("first moment", &wide(&m), &column(1), 1e-7, 1e-5);
        assert_close("second moment", &wide(&v), &column(2), 1e-9, 1e-5);
        if shape.len() == 2 {
            check_products(&params, id);
        }
        let sum: f64 = w.iter().map(|&x| f64::from(x).powi(2)).sum();
        assert_close("norm", &[sum_of_squares(&device, &w)], &[sum], 0.0, 1e-12);
    }
}

/// Products in both directions have the bits of parameters whose copies are made afresh from the same values.
fn check_products(params: &Params, id: ParamId) {
    let param = params.get(id);
    let mut fresh = Params::new(params.device(), params.precision());
    let fresh_id = fresh.push("w", param.shape(), param.values());
    let [n, k] = [param.shape()[0], param.shape()[1]];
    let results = [(params, id), (&fresh, fresh_id)].map(|(params, id)| {
        let mut tape = Tape::training(params);
        let x = tape.leaf(activation(params, &[3, k], &wave(3 * k, 7, 1.0)));
        let y = tape.linear(&x, id);
        let forward = y.value().to_vec();
        let grad = activation(params, &[3, n], &wave(3 * n, 8, 1.0));
        let nodes = tape.backward(&y, grad, &mut Grads::zeros(params));
        (forward, nodes.of(&x).unwrap().to_vec())
    });
    assert!(results[0] == results[1], "{:?}", params.device());
}

#[test]
fn a_table_learns_as_an_array_does() {
    let (v, d) = (50, 24);
    for device in devices() {
        let (w, ids) = (narrow(&wave(v * d, 1, 1.0)), [3, 49, 3, 0, 7, 49, 49]);
        let mut params = Params::new(&device, Precision::F32);
        let both = [params.push_table("rows", [v, d], &w), params.push("array", [v, d], &w)];
        let mut moments = [0, 1].map(|_| (vec![0.0; v * d], vec![0.0; v * d]));
        let mut grads = Grads::zeros(&params);
        for t in 1..=3 {
            // Two micro-batches, the second with rows that the first did not have.
            for (part, seed) in [(&ids[..4], 10 + t), (&ids[4..], 20 + t)] {
                for id in both {
                    let mut tape = Tape::training(&params);
                    let x = tape.embedding(part, id);
                    let grad = Tensor::from_f32(&device, [part.len(), d], &narrow(&wave(part.len() * d, seed, 1.0)));
                    tape.backward(&x, grad, &mut grads);
                }
            }
            grads.settle();
            assert_eq!(grads.rows(both[0]).unwrap().ids(), [0, 3, 7, 49]);
            let squares = both.map(|id| grad_squares(&device, &grads, id));
            assert_close("squares", &squares[..1], &squares[1..], 0.0, 1e-12);
            let step = AdamWStep { lr: 0.1, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, t, grad_scale: 0.5 };
            for (id, (m, v)) in both.into_iter().zip(&mut moments) {
                adamw(&mut params, id, step, &grads, m, v);
            }
            grads.clear();
        }
        assert!(params.get(both[0]).values() == params.get(both[1]).values() && moments[0] == moments[1], "{device:?}");
    }
}
