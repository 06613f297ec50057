//! The gradient of the loss, seen through a layer in front of it, against finite differences in f64 of a
//! naive formula written here a second time.

use tutelage_loss::{Divergence, Mixture, SparseTargets, Targets};
use tutelage_tensor::{Device, Grads, Isa, Params, Precision, Tape, Tensor};
use tutelage_testkit::{assert_close, finite_difference, wave};

const T: usize = 5;
const D: usize = 6;
const V: usize = 9;
const LABELS: [i32; T] = [3, -1, 0, 8, 3];

/// Two entries a row with probabilities 0.7 and 0.2 (not renormalised: temperature 1 renormalises).
fn sparse() -> SparseTargets {
    let mut out = SparseTargets::new();
    for row in 0..T as u32 {
        out.ids.extend([row, row + 3]);
        out.values.extend([0.7f32.ln(), 0.2f32.ln()]);
        out.end_row();
    }
    out
}

/// `0.4 CE + 0.6 D`, mean over learned rows, from the body's and the head's weights.
fn naive(divergence: Divergence, x: &[f64], body: &[f64], head: &[f64]) -> f64 {
    let product =
        |x: &[f64], w: &[f64]| -> Vec<f64> { w.chunks(D).map(|w| w.iter().zip(x).map(|(a, b)| a * b).sum()).collect() };
    let mut sum = 0.0;
    for row in (0..T).filter(|&row| LABELS[row] >= 0) {
        let logits = product(&product(&x[row * D..][..D], body), head);
        let z: f64 = logits.iter().map(|l| l.exp()).sum();
        let q: Vec<f64> = logits.iter().map(|l| l.exp() / z).collect();
        let mut t = [0.0; V];
        (t[row], t[row + 3]) = (7.0 / 9.0, 2.0 / 9.0);
        let d: f64 = match divergence {
            Divergence::ForwardKl => t.iter().zip(&q).map(|(t, q)| if *t > 0.0 { t * (t / q).ln() } else { 0.0 }).sum(),
            Divergence::Nll => t.iter().zip(&q).map(|(t, q)| -t * q.ln()).sum(),
            Divergence::Mse => t.iter().zip(&q).map(|(t, q)| (q - t).powi(2)).sum(),
        };
        sum += 0.4 * -q[LABELS[row] as usize].ln() + 0.6 * d;
    }
    sum / 4.0
}

#[test]
fn gradients_are_slopes() {
    let device = Device::cpu(1, Isa::detect()).unwrap();
    let (x, body, head) = (wave(T * D, 1, 1.0), wave(D * D, 2, 1.0), wave(V * D, 3, 1.0));
    let narrow = |v: &[f64]| -> Vec<f32> { v.iter().map(|&x| x as f32).collect() };
    for divergence in [Divergence::ForwardKl, Divergence::Nll, Divergence::Mse] {
        let mut params = Params::new(&device, Precision::F32);
        let body_id = params.push("body", [D, D], &narrow(&body));
        let head_id = params.push("head", [V, D], &narrow(&head));
        let targets = Targets::TopK(sparse());
        let mixture = Mixture { alpha: 0.6, divergence, ..Mixture::text(&LABELS, 0.25) }.with_targets(&targets);
        let mut tape = Tape::training(&params);
        let leaf = tape.leaf(Tensor::from_f32(&device, [T, D], &narrow(&x)));
        let hidden = tape.linear(&leaf, body_id);
        let mut grads = Grads::zeros(&params);
        let (terms, _) = tape.linear_loss_backward(&hidden, head_id, None, &mixture, &mut grads);
        let wide = |v: &[f32]| -> Vec<f64> { v.iter().map(|&x| f64::from(x)).collect() };
        assert_close("loss", &[terms[0] / 4.0], &[naive(divergence, &x, &body, &head)], 1e-6, 1e-6);
        let slope = finite_difference(&head, |head| naive(divergence, &x, &body, head));
        assert_close("head", &wide(grads.get(head_id)), &slope, 1e-6, 1e-5);
        let slope = finite_difference(&body, |body| naive(divergence, &x, body, &head));
        assert_close("body", &wide(grads.get(body_id)), &slope, 1e-6, 1e-5);
    }
}
