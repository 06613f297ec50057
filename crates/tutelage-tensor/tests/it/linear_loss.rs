//! Output layer and loss in chunks, against all logits at once; the naive version against finite differences.

use tutelage_tensor::kernels::linear_loss::{LogitObjective, reference};
use tutelage_tensor::simd::RowMath;
use tutelage_tensor::{Grads, Params, Precision, Tape};
use tutelage_testkit::{assert_close, finite_difference, wave};

use crate::support::{activation, devices, narrow, one_param, rounded, tolerance, wide};

/// Cross-entropy as plainly as it can be written.
struct CrossEntropy {
    labels: Vec<i32>,
    scale: f32,
}

impl LogitObjective for CrossEntropy {
    fn n_terms(&self) -> usize {
        1
    }

    fn row(&self, _: RowMath, row: usize, logits: &mut [f32], _: Option<&mut [f32]>, _: bool, terms: &mut [f64]) {
        let Ok(label) = usize::try_from(self.labels[row]) else {
            logits.fill(0.0);
            terms[0] = 0.0;
            return;
        };
        let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
        terms[0] = sum.ln() - f64::from(logits[label]);
        for (j, x) in logits.iter_mut().enumerate() {
            let hit = if j == label { 1.0 } else { 0.0 };
            *x = self.scale * ((f64::from(*x).exp() / sum) as f32 - hit);
        }
    }
}

/// A label for most rows, the last entry among them, and none for some.
fn labels(t: usize, v: usize) -> Vec<i32> {
    (0..t).map(|i| if i % 7 == 3 { -1 } else { (v - 1 - i * 5 % v) as i32 }).collect()
}

#[test]
fn chunks_agree_with_all_logits_at_once() {
    // More rows than a chunk has (512 at a small vocabulary), and a vocabulary that is no multiple of a tile.
    for (t, v, d) in [(530, 45, 24), (9, 101, 33)] {
        for device in devices() {
            for precision in [Precision::F32, Precision::Bf16] {
                let (x, w) = (wave(t * d, 1, 1.0), wave(v * d, 2, 0.5));
                let (params, head) = one_param(&device, precision, &[v, d], &w);
                let objective = CrossEntropy { labels: labels(t, v), scale: 0.25 };
                let (x_r, w_r) = (rounded(&params, &x), rounded(&params, &w));
                let (loss, dx, dw) = reference::cross_entropy(&x_r, &w_r, d, &objective.labels, 0.25);
                let mut tape = Tape::training(&params);
                let hidden = tape.leaf(activation(&params, &[t, d], &x));
                let mut grads = Grads::zeros(&params);
                let (terms, nodes) = tape.linear_loss_backward(&hidden, head, None, &objective, &mut grads);
                let (absolute, relative) = tolerance(precision);
                assert_close("loss", &terms, &[loss], 1e-3, relative);
                assert_close("head", &wide(grads.get(head)), &dw, absolute, relative);
                let found = nodes.of(&hidden).unwrap().to_vec();
                assert_close("hidden", &wide(&found), &dx, absolute, relative);
            }
        }
    }
}

#[test]
fn the_naive_gradients_are_slopes() {
    let (t, v, d) = (4, 6, 3);
    let (x, w, labels) = (wave(t * d, 1, 1.0), wave(v * d, 2, 1.0), labels(t, v));
    let (_, dx, dw) = reference::cross_entropy(&x, &w, d, &labels, 0.5);
    let loss = |x: &[f64], w: &[f64]| 0.5 * reference::cross_entropy(x, w, d, &labels, 1.0).0;
    assert_close("hidden", &dx, &finite_difference(&x, |x| loss(x, &w)), 1e-8, 1e-6);
    assert_close("head", &dw, &finite_difference(&w, |w| loss(&x, w)), 1e-8, 1e-6);
}

#[test]
fn gradients_of_calls_add_up() {
    let device = crate::support::device(1);
    let mut params = Params::new(&device, Precision::F32);
    let head = params.push("head", [8, 4], &narrow(&wave(32, 3, 1.0)));
    let objective = CrossEntropy { labels: labels(5, 8), scale: 1.0 };
    let mut grads = Grads::zeros(&params);
    let mut first = Vec::new();
    for _ in 0..2 {
        let mut tape = Tape::training(&params);
        let hidden = tape.leaf(activation(&params, &[5, 4], &wave(20, 4, 1.0)));
        tape.linear_loss_backward(&hidden, head, None, &objective, &mut grads);
        if first.is_empty() {
            first = wide(grads.get(head));
        }
    }
    let twice: Vec<f64> = first.iter().map(|x| 2.0 * x).collect();
    assert_close("sum", &wide(grads.get(head)), &twice, 1e-6, 1e-6);
}
