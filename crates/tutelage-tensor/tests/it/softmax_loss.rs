//! Losses in softmax form: blocks of the vocabulary and whole rows, against all logits at once.

use tutelage_tensor::kernels::linear_loss::reference::{Layer, softmax_loss};
use tutelage_tensor::kernels::linear_loss::{LogitObjective, Pick, SoftmaxObjective, TeacherLogits, softmax_row};
use tutelage_tensor::simd::{PairSums, RowMath, SoftmaxPair};
use tutelage_tensor::{Device, Grads, Isa, Precision, Tape};
use tutelage_testkit::{assert_close, finite_difference, wave};

use crate::support::{activation, one_param, rounded, tolerance, wide};

/// `text lse(a) + kd KL(softmax(heat b) || softmax(a)) - sum of weight a[id]`
struct Objective {
    text: f32,
    kd: f32,
    heat: f32,
    picks: Vec<Vec<(usize, f64)>>,
}

impl SoftmaxObjective for Objective {
    fn pair(&self, taught: bool) -> SoftmaxPair {
        let kd = if taught { self.kd } else { 0.0 };
        SoftmaxPair { scale_a: 1.0, scale_b: self.heat, weight_a: self.text + kd, weight_b: kd }
    }

    fn picks(&self, row: usize, _: bool, picks: &mut Vec<Pick>) -> bool {
        picks.extend(self.picks[row].iter().map(|&(id, weight)| Pick { id: id as u32, weight: weight as f32 }));
        !picks.is_empty()
    }

    fn terms(&self, row: usize, taught: bool, sums: PairSums, picked: &[f32], terms: &mut [f64]) {
        let [lse_a, lse_b, b_dot_b, b_dot_a] = [sums.lse_a, sums.lse_b, sums.b_dot_b, sums.b_dot_a].map(f64::from);
        let kl = f64::from(self.heat) * b_dot_b - lse_b - b_dot_a + lse_a;
        let linear: f64 = self.picks[row].iter().zip(picked).map(|((_, w), &a)| w * f64::from(a)).sum();
        terms[0] = f64::from(self.text) * lse_a - linear;
        terms[1] = if taught { f64::from(self.kd) * kl } else { 0.0 };
    }
}

impl LogitObjective for Objective {
    fn n_terms(&self) -> usize {
        2
    }

    fn row(
        &self,
        math: RowMath,
        row: usize,
        logits_v: &mut [f32],
        teacher_v: Option<&mut [f32]>,
        gradient: bool,
        terms: &mut [f64],
    ) {
        softmax_row(self, math, row, logits_v, teacher_v, gradient, terms);
    }

    fn as_softmax(&self, _: bool) -> Option<&dyn SoftmaxObjective> {
        Some(self)
    }
}

/// Some picks for most rows: the first and the last entry, twice the same, many; none for some rows.
fn picks(t: usize, v: usize) -> Vec<Vec<(usize, f64)>> {
    let row = |i: usize| match i % 7 {
        3 => vec![],
        0 => vec![(v - 1, 0.5), (0, 0.25)],
        1 => vec![(i % v, 0.5), (i % v, 0.25)],
        2 => (0..40).map(|k| ((i + k * 97) % v, 0.02)).collect(),
        _ => vec![(i * 5 % v, 1.0)],
    };
    (0..t).map(row).collect()
}

struct Found {
    terms: Vec<f64>,
    dx: Vec<f64>,
    dw: Vec<f64>,
}

/// Student of width `d`, teacher of width `2 d`; logits from small to hundreds, so that references are raised.
struct Case {
    t: usize,
    v: usize,
    d: usize,
    x: [Vec<f64>; 2],
    w: [Vec<f64>; 2],
    objective: Objective,
}

impl Case {
    fn new((t, v, d): (usize, usize, usize), height: f64) -> Self {
        let objective = Objective { text: 0.5, kd: 0.75, heat: 0.5, picks: picks(t, v) };
        let x = [wave(t * d, 1, 1.0), wave(t * 2 * d, 2, 1.0)];
        let w = [wave(v * d, 3, height), wave(v * 2 * d, 4, height)];
        Self { t, v, d, x, w, objective }
    }

    fn run(&self, device: &Device, precision: Precision, taught: bool) -> (Found, [Vec<f64>; 4]) {
        let Self { t, v, d, x, w, objective } = self;
        let (params, head) = one_param(device, precision, &[*v, *d], &w[0]);
        let (teacher_params, teacher_head) = one_param(device, precision, &[*v, 2 * d], &w[1]);
        let hidden = activation(&teacher_params, &[*t, 2 * d], &x[1]);
        let logits = TeacherLogits::one(hidden, &teacher_params, teacher_head);
        let teacher = taught.then_some(&logits);
        let mut tape = Tape::training(&params);
        let hidden = tape.leaf(activation(&params, &[*t, *d], &x[0]));
        let mut grads = Grads::zeros(&params);
        let forward = tape.linear_loss(&hidden, head, teacher, objective);
        let (terms, nodes) = tape.linear_loss_backward(&hidden, head, teacher, objective, &mut grads);
        assert_close("forward only", &forward, &terms, 1e-9, 1e-6);
        let dx = wide(&nodes.of(&hidden).unwrap().to_vec());
        let seen = [&x[0], &w[0], &x[1], &w[1]].map(|values| rounded(&params, values));
        (Found { terms, dx, dw: wide(grads.get(head)) }, seen)
    }

    fn check(&self, device: &Device, precision: Precision, taught: bool) {
        let (found, [x, w, x_t, w_t]) = self.run(device, precision, taught);
        let student = Layer { hidden: &x, head: &w, d: self.d };
        let teacher = Layer { hidden: &x_t, head: &w_t, d: 2 * self.d };
        let Objective { text, kd, heat, picks } = &self.objective;
        let teacher = taught.then_some((teacher, f64::from(*heat)));
        let (loss, dx, dw) = softmax_loss(student, teacher, (f64::from(*text), f64::from(*kd)), picks);
        let what = format!("{device:?} {precision:?} {} x {} x {}, taught {taught}", self.t, self.v, self.d);
        let (absolute, relative) = tolerance(precision);
        assert_close(&format!("{what}: loss"), &[found.terms.iter().sum::<f64>()], &[loss], 1e-3, 1e-4);
        let size = |x: &[f64]| absolute * x.iter().fold(1.0, |a: f64, b| a.max(b.abs()));
        assert_close(&format!("{what}: hidden"), &found.dx, &dx, size(&dx), relative);
        assert_close(&format!("{what}: head"), &found.dw, &dw, size(&dw), relative);
    }
}

#[test]
fn losses_agree_with_all_logits_at_once() {
    // Rows beyond a task's, a vocabulary beyond a block's, and sizes that are no multiples of tiles.
    let cases = [Case::new((9, 101, 33), 0.5), Case::new((133, 70, 24), 60.0), Case::new((37, 4200, 16), 4.0)];
    for isa in Isa::ALL {
        let Ok(device) = Device::cpu(2, isa) else { continue };
        for (case, taught) in cases.iter().flat_map(|case| [(case, false), (case, true)]) {
            for precision in [Precision::F32, Precision::Bf16] {
                case.check(&device, precision, taught);
            }
        }
    }
}

#[test]
fn more_rows_than_are_handled_together_agree_too() {
    let device = crate::support::device(2);
    Case::new((2100, 40, 8), 1.0).check(&device, Precision::Bf16, true);
}

#[test]
fn bits_do_not_depend_on_threads() {
    let case = Case::new((200, 2500, 40), 2.0);
    for isa in Isa::ALL {
        let found = [1, 2, 3].map(|n| Device::cpu(n, isa).map(|device| case.run(&device, Precision::Bf16, true).0));
        let [Ok(one), others @ ..] = found else { continue };
        for other in others.into_iter().flatten() {
            assert!(other.terms == one.terms && other.dx == one.dx && other.dw == one.dw, "{isa}");
        }
    }
}

#[test]
fn the_naive_gradients_are_slopes() {
    let (t, v, d) = (5, 7, 3);
    let case = Case::new((t, v, d), 1.0);
    let picks: Vec<_> = case.objective.picks.iter().map(|row| row[..row.len().min(3)].to_vec()).collect();
    let teacher = Layer { hidden: &case.x[1], head: &case.w[1], d: 2 * d };
    let run =
        |x: &[f64], w: &[f64]| softmax_loss(Layer { hidden: x, head: w, d }, Some((teacher, 0.5)), (0.5, 0.75), &picks);
    let (x, w) = (&case.x[0], &case.w[0]);
    let (_, dx, dw) = run(x, w);
    assert_close("hidden", &dx, &finite_difference(x, |x| run(x, w).0), 1e-7, 1e-6);
    assert_close("head", &dw, &finite_difference(w, |w| run(x, w).0), 1e-7, 1e-6);
}
