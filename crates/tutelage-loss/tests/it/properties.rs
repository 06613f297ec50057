//! What holds of the formulas whatever the numbers.

use tutelage_loss::{Divergence, Mixture, Objective, SparseTargets, TargetKind, Targets, Temperature, Terms};
use tutelage_tensor::kernels::linear_loss::{TeacherLogits, TeacherMember, TeacherPart};
use tutelage_tensor::{Device, Grads, Isa, Params, Precision, Tape, Tensor};
use tutelage_testkit::{assert_close, wave};

use crate::differences::ALL;

const V: usize = 40;

/// An output layer whose logits are the hidden states themselves, so that its input's gradient is that of the logits.
struct Bench {
    device: Device,
    params: Params,
    head: tutelage_tensor::ParamId,
}

impl Bench {
    fn new() -> Self {
        let device = Device::cpu(2, Isa::detect()).unwrap();
        let mut params = Params::new(&device, Precision::F32);
        let mut identity = vec![0.0; V * V];
        (0..V).for_each(|i| identity[i * V + i] = 1.0);
        let head = params.push("head", [V, V], &identity);
        Self { device, params, head }
    }

    fn rows(&self, rows: &[f64]) -> Tensor {
        let rows: Vec<f32> = rows.iter().map(|&x| x as f32).collect();
        Tensor::from_f32(&self.device, [rows.len() / V, V], &rows)
    }

    fn whole(&self, logits: &[f64]) -> Targets<'_> {
        Targets::Soft(TeacherLogits::one(self.rows(logits), &self.params, self.head))
    }

    /// Sums of the terms, and the gradient of the logits `[t, V]`.
    fn run(&self, logits: &[f64], labels: &[i32], objective: Objective, targets: &Targets<'_>) -> (Terms, Vec<f64>) {
        let mixture = Mixture { objective, ..Mixture::text(labels, 1.0) }.with_targets(targets);
        let live = targets.live();
        let mut tape = Tape::training(&self.params);
        let leaf = tape.leaf(self.rows(logits));
        let mut grads = Grads::zeros(&self.params);
        let (sums, leaves) = tape.linear_loss_backward(&leaf, self.head, live, &mixture, &mut grads);
        let gradient = leaves.of(&leaf).unwrap();
        (Terms::from_sums(&sums), gradient.slice::<f32>().iter().map(|&x| f64::from(x)).collect())
    }
}

/// `softmax` of a row of logits.
fn softmax(row: &[f64]) -> Vec<f64> {
    let z: f64 = row.iter().map(|x| x.exp()).sum();
    row.iter().map(|x| x.exp() / z).collect()
}

/// Entries of rows with log-probabilities, in the order of their numbers.
fn kept(rows: &[Vec<(u32, f64)>]) -> SparseTargets {
    let mut out = SparseTargets::new();
    for row in rows {
        out.ids.extend(row.iter().map(|entry| entry.0));
        out.values.extend(row.iter().map(|entry| entry.1 as f32));
        out.end_row();
    }
    out
}

#[test]
fn a_tail_of_nothing_is_the_whole_distribution() {
    let bench = Bench::new();
    let (student, teacher) = (wave(3 * V, 1, 3.0), wave(3 * V, 2, 3.0));
    let all = teacher.chunks(V).map(|row| (0..V as u32).zip(softmax(row).iter().map(|p| p.ln())).collect());
    let (whole, kept) = (bench.whole(&teacher), Targets::TopPK(kept(&all.collect::<Vec<_>>())));
    for divergence in ALL.into_iter().filter(|&d| d != Divergence::LogitMse) {
        let objective = Objective { divergence, ..Objective::mix(0.5) };
        let (expected, slopes) = bench.run(&student, &[1, 2, 3], objective, &whole);
        let (found, gradient) = bench.run(&student, &[1, 2, 3], Objective { tail: true, ..objective }, &kept);
        assert_close(&format!("{divergence:?}"), &[found.kd, found.kl], &[expected.kd, expected.kl], 1e-5, 1e-5);
        assert_close(&format!("{divergence:?}"), &gradient, &slopes, 1e-6, 1e-4);
    }
}

#[test]
fn a_tail_says_less_than_the_whole_and_more_the_more_is_kept() {
    let bench = Bench::new();
    let (student, teacher) = (wave(V, 1, 3.0), wave(V, 2, 3.0));
    let p = softmax(&teacher);
    let mut order: Vec<u32> = (0..V as u32).collect();
    order.sort_by(|&a, &b| p[b as usize].total_cmp(&p[a as usize]));
    let objective = Objective { tail: true, ..Objective::mix(1.0) };
    let of = |k: usize| {
        let row = order[..k].iter().map(|&id| (id, p[id as usize].ln())).collect();
        bench.run(&student, &[0], objective, &Targets::TopPK(kept(&[row]))).0.kd
    };
    let values: Vec<f64> = [1, 4, 10, 20, V].map(of).to_vec();
    assert!(values.is_sorted_by(|a, b| *a <= b + 1e-6), "{values:?}");
}

#[test]
fn counts_of_samples_have_the_whole_gradient_on_average() {
    const ROWS: usize = 4000;
    const DRAWS: usize = 12;
    let bench = Bench::new();
    let (student, teacher) = (wave(V, 1, 2.0), wave(V, 2, 2.0));
    let p = softmax(&teacher);
    let mut uniform = wave(ROWS * DRAWS, 3, 0.5).into_iter().map(|u| u + 0.5);
    let mut counts = SparseTargets::new();
    for _ in 0..ROWS {
        let mut row = [0.0f32; V];
        for u in uniform.by_ref().take(DRAWS) {
            let mut sum = 0.0;
            let id = p.iter().position(|p| {
                sum += p;
                u < sum
            });
            row[id.unwrap_or(V - 1)] += 1.0;
        }
        for (id, &count) in row.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            counts.ids.push(id as u32);
            counts.values.push(count);
        }
        counts.end_row();
    }
    let repeated: Vec<f64> = (0..ROWS).flat_map(|_| student.clone()).collect();
    let (samples, whole) = (Targets::Samples(counts), bench.whole(&teacher));
    for divergence in [Divergence::ForwardKl, Divergence::Nll, Divergence::Mse] {
        let objective = Objective { divergence, ..Objective::mix(1.0) };
        let (_, exact) = bench.run(&student, &[0], objective, &whole);
        let (_, gradients) = bench.run(&repeated, &[0; ROWS], objective, &samples);
        for (i, exact) in exact.iter().enumerate() {
            let of_rows = || gradients.iter().skip(i).step_by(V);
            let mean = of_rows().sum::<f64>() / ROWS as f64;
            let variance = of_rows().map(|x| (x - mean).powi(2)).sum::<f64>() / (ROWS - 1) as f64;
            // Four and a half standard errors: one of 120 falls outside once in a thousand seeds.
            let bound = 4.5 * (variance / ROWS as f64).sqrt() + 1e-6;
            assert!((mean - exact).abs() < bound, "{divergence:?} {i}: {mean} {exact} {bound}");
        }
    }
}

#[test]
fn the_ends_of_jsd_are_the_two_directions_of_kl_and_jump() {
    let bench = Bench::new();
    let (student, teacher) = (wave(V, 1, 2.0), wave(V, 2, 2.0));
    let whole = bench.whole(&teacher);
    let of = |divergence| bench.run(&student, &[0], Objective { divergence, ..Objective::mix(1.0) }, &whole).0.kd;
    let (forward, reverse) = (of(Divergence::ForwardKl), of(Divergence::ReverseKl));
    assert_eq!((of(Divergence::Jsd { beta: 0.0 }), of(Divergence::Jsd { beta: 1.0 })), (forward, reverse));
    let (near_zero, near_one) = (of(Divergence::Jsd { beta: 1e-3 }), of(Divergence::Jsd { beta: 0.999 }));
    assert_close("slopes at the ends", &[near_zero, near_one], &[1e-3 * forward, 1e-3 * reverse], 0.0, 0.02);
    assert!(of(Divergence::Jsd { beta: 0.5 }) <= std::f64::consts::LN_2);
}

#[test]
fn a_teacher_s_zero_stays_finite() {
    let bench = Bench::new();
    let (student, mut teacher) = (wave(V, 1, 2.0), wave(V, 2, 2.0));
    teacher[5] = -1e30;
    teacher[6] = -200.0;
    let whole = bench.whole(&teacher);
    let mut rest = Vec::new();
    for divergence in ALL.into_iter().filter(|&d| d != Divergence::LogitMse) {
        let objective = Objective { divergence, ..Objective::mix(1.0) };
        let (terms, gradient) = bench.run(&student, &[0], objective, &whole);
        assert!(terms.kd.is_finite() && gradient.iter().all(|x| x.is_finite()), "{divergence:?}");
        // What the teacher thinks impossible loses mass, or nothing is said of it.
        assert!(gradient[5] >= -1e-7, "{divergence:?}: {}", gradient[5]);
        assert!(gradient.iter().sum::<f64>().abs() < 1e-5, "{divergence:?}: a constant is nobody's");
        rest.push(terms.kd);
    }
    assert!(rest[0] > 0.0);
}

#[test]
fn rows_without_labels_teach_nothing() {
    let bench = Bench::new();
    let (student, teacher) = (wave(2 * V, 1, 2.0), wave(2 * V, 2, 2.0));
    let row = |id: u32| vec![(id, -0.1), (id + 7, -2.5)];
    for targets in [Targets::Hard, bench.whole(&teacher), Targets::TopPK(kept(&[row(1), row(2)]))] {
        for objective in
            [Objective::mix(0.5), Objective { divergence: Divergence::SkewKl { skew: 0.1 }, ..Objective::mix(1.0) }]
        {
            let (terms, gradient) = bench.run(&student, &[-1, -1], objective, &targets);
            assert_eq!(terms, Terms::default());
            assert!(gradient.iter().all(|&x| x == 0.0));
        }
    }
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let mix = Objective::mix(0.5);
    let with = |divergence| Objective { divergence, ..mix };
    let tail = Objective { tail: true, ..mix };
    let warm = Objective { temperature: Temperature::Fixed(2.0), ..mix };
    let refused = |objective: Objective, kind, word: &str| {
        let found = objective.check(kind).unwrap_err();
        assert!(found.contains(word), "{found}");
    };
    refused(with(Divergence::ReverseKl), TargetKind::TopPK, "infinite");
    refused(with(Divergence::Jsd { beta: 1.0 }), TargetKind::TopPK, "infinite");
    refused(with(Divergence::Jsd { beta: 0.5 }), TargetKind::Samples, "linear");
    refused(warm, TargetKind::Samples, "temperature 1");
    refused(tail, TargetKind::Whole, "tail is for");
    refused(tail, TargetKind::Samples, "tail is for");
    refused(Objective { tail: true, ..warm }, TargetKind::TopPK, "temperature 1");
    refused(Objective { divergence: Divergence::LogitMse, ..tail }, TargetKind::TopPK, "no logit");
    for divergence in ALL {
        with(divergence).check(TargetKind::Whole).unwrap();
    }
    Objective { divergence: Divergence::ReverseKl, ..tail }.check(TargetKind::TopPK).unwrap();
}

#[test]
fn several_teachers_have_their_own_rows_or_are_averaged() {
    const T: usize = 700;
    let bench = Bench::new();
    let (student, a, b) = (wave(T * V, 1, 2.0), wave(T * V, 2, 2.0), wave(T * V, 3, 2.0));
    let labels: Vec<i32> = (0..T as i32).map(|row| if row % 11 == 0 { -1 } else { row % V as i32 }).collect();
    let of = |logits: &[f64], rows: &[std::ops::Range<usize>], weight: f32| {
        let own: Vec<f64> = rows.iter().flat_map(|rows| logits[rows.start * V..rows.end * V].to_vec()).collect();
        TeacherMember { weight, hidden: bench.rows(&own), params: &bench.params, head: bench.head, vocabulary: V }
    };
    // Rows of the first, of the second, of both, and of nobody.
    let [first, second, both] = [vec![0..3, 100..400, 650..660], vec![3..50, 400..520], vec![60..100, 530..640]];
    let part = |rows: &Vec<std::ops::Range<usize>>, members| TeacherPart { rows: rows.clone(), members };
    let several = Targets::Soft(TeacherLogits {
        parts: vec![
            part(&second, vec![of(&b, &second, 1.0)]),
            part(&first, vec![of(&a, &first, 1.0)]),
            part(&both, vec![of(&a, &both, 0.25), of(&b, &both, 0.75)]),
        ],
    });
    let is_of = |rows: &[std::ops::Range<usize>], row: usize| rows.iter().any(|rows| rows.contains(&row));
    // The same by hand: one teacher whose logits are those, and rows of the text alone.
    let mut by_hand = Vec::new();
    for row in 0..T {
        let [a, b] = [&a, &b].map(|logits| &logits[row * V..][..V]);
        by_hand.extend(match (is_of(&first, row), is_of(&both, row)) {
            (true, _) => a.to_vec(),
            (_, true) => softmax(a).iter().zip(softmax(b)).map(|(p, q)| (0.25 * p + 0.75 * q).ln()).collect(),
            _ => b.to_vec(),
        });
    }
    let whole = bench.whole(&by_hand);
    for objective in
        [Objective::mix(0.7), Objective { divergence: Divergence::ReverseKl, guided: true, ..Objective::mix(0.7) }]
    {
        let (found, gradient) = bench.run(&student, &labels, objective, &several);
        let (_, taught) = bench.run(&student, &labels, objective, &whole);
        let (_, text) = bench.run(&student, &labels, Objective::TEXT, &Targets::Hard);
        let mut n = 0.0;
        for row in 0..T {
            let has_teacher = [&first, &second, &both].iter().any(|rows| is_of(rows, row));
            let expected = if has_teacher { &taught } else { &text };
            let range = row * V..(row + 1) * V;
            assert_close(&format!("row {row}"), &gradient[range.clone()], &expected[range], 3e-6, 1e-4);
            n += f64::from(u8::from(has_teacher && labels[row] >= 0));
        }
        match objective.guided {
            false => assert_eq!(found.taught, n),
            true => {
                assert_eq!(found.taught, tutelage_loss::guided::agreements(&several, &labels) as f64);
                assert!(found.taught > 0.0 && found.taught < n);
            }
        }
    }
}

#[test]
fn rows_of_a_teacher_that_stand_for_nothing_get_no_mass() {
    const SHARED: usize = V - 5;
    let bench = Bench::new();
    let (student, teacher) = (wave(3 * V, 1, 2.0), wave(3 * V, 2, 2.0));
    let by_hand: Vec<f64> = teacher.iter().enumerate().map(|(i, x)| if i % V < SHARED { *x } else { -1e30 }).collect();
    // As many rows as the student, more, and fewer: the last ones are padding, or are not there.
    for rows in [V, V + 9, SHARED] {
        let mut params = Params::new(&bench.device, Precision::F32);
        let mut identity = vec![0.0; rows * V];
        (0..rows.min(V)).for_each(|i| identity[i * V + i] = 1.0);
        (V..rows).for_each(|i| identity[i * V] = 9.0);
        let head = params.push("head", [rows, V], &identity);
        let member =
            TeacherMember { weight: 1.0, hidden: bench.rows(&teacher), params: &params, head, vocabulary: SHARED };
        let padded = Targets::Soft(TeacherLogits::of(member));
        for (divergence, temperature) in [
            (Divergence::ForwardKl, Temperature::Fixed(1.0)),
            (Divergence::ReverseKl, Temperature::Fixed(2.0)),
            (Divergence::Jsd { beta: 0.4 }, Temperature::Deviation { factor: 0.7 }),
            (Divergence::ForwardKl, Temperature::Entropy { certain: 3.0, uncertain: 1.0 }),
            (Divergence::LogitMse, Temperature::Fixed(1.0)),
        ] {
            let objective = Objective { divergence, temperature, ..Objective::mix(0.7) };
            let (expected, slopes) = bench.run(&student, &[1, 2, 3], objective, &bench.whole(&by_hand));
            let (found, gradient) = bench.run(&student, &[1, 2, 3], objective, &padded);
            assert_close("distances", &[found.kd, found.kl], &[expected.kd, expected.kl], 1e-6, 1e-6);
            assert_close("slopes", &gradient, &slopes, 1e-6, 1e-5);
            if divergence == Divergence::LogitMse {
                let e: Vec<f64> =
                    (0..SHARED).map(|i| f64::from(student[i] as f32) - f64::from(teacher[i] as f32)).collect();
                let mean = e.iter().sum::<f64>() / SHARED as f64;
                let slope = 0.7 * 2.0 * (e[5] - mean) / SHARED as f64 + 0.3 * softmax(&student[..V])[5];
                assert!((gradient[5] - slope).abs() < 1e-5, "{} {slope}", gradient[5]);
            }
        }
    }
}

#[test]
fn tokens_drawn_by_the_student_have_the_gradient_of_reverse_kl_on_average() {
    let bench = Bench::new();
    let (student, teacher) = (wave(V, 1, 2.0), wave(V, 2, 2.0));
    let q = softmax(&student);
    let objective = |divergence| Objective { divergence, ..Objective::mix(1.0) };
    let (exact, expected) = bench.run(&student, &[0], objective(Divergence::ReverseKl), &bench.whole(&teacher));
    // Every token that could be drawn, by how likely it is.
    let (mut value, mut gradient) = (0.0, vec![0.0; V]);
    for (y, q) in q.iter().enumerate() {
        let sampled = objective(Divergence::SampledReverseKl);
        let (found, slopes) = bench.run(&student, &[y as i32], sampled, &bench.whole(&teacher));
        value += q * found.kd;
        gradient.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += q * slope);
        assert_close("kl", &[found.kl], &[exact.kl], 1e-5, 1e-5);
        let by_hand = q.ln() - softmax(&teacher)[y].ln();
        assert_close("value", &[found.kd, found.teacher], &[by_hand, by_hand], 1e-5, 1e-5);
    }
    assert_close("value", &[value], &[exact.kd], 1e-5, 1e-5);
    assert_close("gradient", &gradient, &expected, 1e-6, 1e-4);
}

#[test]
fn a_token_that_the_teacher_has_no_row_for_is_as_unlikely_as_can_be() {
    let bench = Bench::new();
    let (student, teacher) = (wave(V, 1, 2.0), wave(V, 2, 2.0));
    let member = TeacherMember {
        weight: 1.0,
        hidden: bench.rows(&teacher),
        params: &bench.params,
        head: bench.head,
        vocabulary: V - 5,
    };
    let targets = Targets::Soft(TeacherLogits::of(member));
    let objective = Objective { divergence: Divergence::SampledReverseKl, ..Objective::mix(1.0) };
    let (found, gradient) = bench.run(&student, &[V as i32 - 2], objective, &targets);
    let expected = softmax(&student)[V - 2].ln() - f64::from(f32::MIN_POSITIVE).ln();
    assert_close("value", &[found.kd], &[expected], 1e-4, 1e-5);
    // What the student says of it gets less likely.
    assert!(gradient[V - 2] > 0.0 && gradient.iter().all(|x| x.is_finite()));
}

#[test]
fn tokens_of_the_student_need_whole_targets_at_temperature_one() {
    let objective = Objective { divergence: Divergence::SampledReverseKl, ..Objective::mix(0.5) };
    assert_eq!(objective.check(TargetKind::Whole), Ok(()));
    assert!(objective.check(TargetKind::TopPK).unwrap_err().contains("choose a live teacher"));
    let hot = Objective { temperature: Temperature::Fixed(2.0), ..objective };
    for wrong in [hot, Objective { guided: true, ..objective }, Objective { temperature_squared: true, ..objective }] {
        assert!(wrong.check(TargetKind::Whole).unwrap_err().contains("temperature 1"));
    }
}
