//! The gradient of the loss, seen through a layer in front of it, against finite differences in f64 of naive formulas
//! written here a second time.

use tutelage_loss::{Divergence, Mixture, Objective, SparseTargets, StudentTemperature, Targets, Temperature};
use tutelage_tensor::kernels::linear_loss::TeacherLogits;
use tutelage_tensor::{Device, Grads, Isa, Params, Precision, Tape, Tensor};
use tutelage_testkit::{assert_close, finite_difference, wave};

const T: usize = 5;
const D: usize = 6;
const V: usize = 9;
const LABELS: [i32; T] = [3, -1, 0, 8, 3];
pub(crate) const ALL: [Divergence; 12] = [
    Divergence::ForwardKl,
    Divergence::ReverseKl,
    Divergence::Jsd { beta: 0.0 },
    Divergence::Jsd { beta: 0.3 },
    Divergence::Jsd { beta: 1.0 },
    Divergence::SkewKl { skew: 0.1 },
    Divergence::SkewReverseKl { skew: 0.1 },
    Divergence::SkewReverseKl { skew: 0.0 },
    Divergence::TotalVariation,
    Divergence::Nll,
    Divergence::Mse,
    Divergence::LogitMse,
];

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Whole,
    Kept,
    Tail,
    Samples,
}

/// Two entries a row with probabilities 0.7 and 0.2, or counts 3 and 1.
fn sparse(kind: Kind) -> SparseTargets {
    let mut out = SparseTargets::new();
    for row in 0..T as u32 {
        out.ids.extend([row, row + 3]);
        out.values.extend(if kind == Kind::Samples { [3.0, 1.0] } else { [0.7f32.ln(), 0.2f32.ln()] });
        out.end_row();
    }
    out
}

fn product(x: &[f64], w: &[f64]) -> Vec<f64> {
    w.chunks(x.len()).map(|w| w.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
}

fn softmax(x: &[f64], temperature: f64) -> Vec<f64> {
    let z: f64 = x.iter().map(|x| (x / temperature).exp()).sum();
    x.iter().map(|x| (x / temperature).exp() / z).collect()
}

fn kl(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| if *a > 0.0 { a * (a / b).ln() } else { 0.0 }).sum()
}

fn distance(divergence: Divergence, t: &[f64], q: &[f64]) -> f64 {
    let mix = |a: f64| -> Vec<f64> { t.iter().zip(q).map(|(t, q)| a * t + (1.0 - a) * q).collect() };
    let wide = |x: f32| f64::from(x);
    match divergence {
        Divergence::ForwardKl | Divergence::Jsd { beta: 0.0 } => kl(t, q),
        Divergence::ReverseKl | Divergence::Jsd { beta: 1.0 } => kl(q, t),
        Divergence::Jsd { beta } => wide(beta) * kl(t, &mix(wide(beta))) + (1.0 - wide(beta)) * kl(q, &mix(wide(beta))),
        Divergence::SkewKl { skew } => kl(t, &mix(wide(skew))),
        Divergence::SkewReverseKl { skew } => kl(q, &mix(1.0 - wide(skew))),
        Divergence::TotalVariation => t.iter().zip(q).map(|(t, q)| (t - q).abs() / 2.0).sum(),
        Divergence::Nll => -t.iter().zip(q).map(|(t, q)| t * q.ln()).sum::<f64>(),
        Divergence::Mse => t.iter().zip(q).map(|(t, q)| (t - q).powi(2)).sum(),
        Divergence::LogitMse | Divergence::SampledReverseKl => unreachable!("not a distance between probabilities"),
    }
}

/// Mean square of centred differences.
fn centred(a: &[f64], b: &[f64]) -> f64 {
    let e: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let mean = e.iter().sum::<f64>() / e.len() as f64;
    e.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / e.len() as f64
}

struct Case {
    objective: Objective,
    kind: Kind,
    x: Vec<f64>,
    teacher: Vec<f64>,
    teacher_head: Vec<f64>,
}

impl Case {
    /// `(objective, cross-entropy, distance, KL at temperature 1, taught rows)` from the body's and the head's weights.
    fn naive(&self, body: &[f64], head: &[f64]) -> [f64; 5] {
        let o = &self.objective;
        let (mut lm, mut kd, mut weighted, mut plain_kl, mut taught) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for row in (0..T).filter(|&row| LABELS[row] >= 0) {
            let label = LABELS[row] as usize;
            let a = product(&product(&self.x[row * D..][..D], body), head);
            let b = product(&self.teacher[row * D..][..D], &self.teacher_head);
            // Logits of the target, over all entries or the kept ones.
            let (ids, z): (Vec<usize>, Vec<f64>) = match self.kind {
                Kind::Whole => ((0..V).collect(), b),
                Kind::Samples => (vec![row, row + 3], vec![0.75f64.ln(), 0.25f64.ln()]),
                Kind::Kept | Kind::Tail => (vec![row, row + 3], vec![0.7f64.ln(), 0.2f64.ln()]),
            };
            let t1 = softmax(&z, 1.0);
            let tau = match o.temperature {
                Temperature::Fixed(tau) => tau,
                Temperature::Deviation { factor } => factor * centred(&z, &vec![0.0; z.len()]).sqrt(),
                Temperature::Entropy { certain, uncertain } => {
                    let share = -t1.iter().map(|t| t * t.ln()).sum::<f64>() / (t1.len() as f64).ln();
                    certain + (uncertain - certain) * share
                }
            };
            let tau_s = match o.student_temperature {
                StudentTemperature::Fixed(tau) => f64::from(tau),
                StudentTemperature::Teacher => tau,
            };
            let spread = |values: &[f64]| {
                let mut out = vec![0.0; V];
                ids.iter().zip(values).for_each(|(&id, x)| out[id] = *x);
                out
            };
            let bucket = |q: &[f64]| {
                let mut out: Vec<f64> = ids.iter().map(|&id| q[id]).collect();
                out.push(1.0 - out.iter().sum::<f64>());
                out
            };
            let (q, q1) = (softmax(&a, tau_s), softmax(&a, 1.0));
            let (d, d1) = match (self.kind, o.divergence) {
                (Kind::Tail, divergence) => {
                    let t = [0.7, 0.2, 0.1];
                    (distance(divergence, &t, &bucket(&q)), kl(&t, &bucket(&q1)))
                }
                (_, Divergence::LogitMse) => {
                    let of = |x: &[f64], tau: f64| -> Vec<f64> { x.iter().map(|x| x / tau).collect() };
                    let a: Vec<f64> = ids.iter().map(|&id| a[id]).collect();
                    (centred(&of(&a, tau_s), &of(&z, tau)), kl(&spread(&t1), &q1))
                }
                (_, divergence) => (distance(divergence, &spread(&softmax(&z, tau)), &q), kl(&spread(&t1), &q1)),
            };
            let best = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let agrees = ids.iter().zip(&z).any(|(&id, &z)| id == label && z == best);
            lm -= q1[label].ln();
            plain_kl += d1;
            if !o.guided || agrees {
                taught += 1.0;
                kd += d;
                weighted += d * if o.temperature_squared { tau * tau } else { 1.0 };
            }
        }
        let loss = o.text * lm / 4.0 + o.teacher * weighted / f64::max(taught, 1.0);
        [loss, lm, kd, plain_kl, taught]
    }

    fn check(&self) {
        let what = format!("{:?} {:?}", self.kind, self.objective);
        let device = Device::cpu(1, Isa::detect()).unwrap();
        let (body, head) = (wave(D * D, 2, 1.0), wave(V * D, 3, 1.0));
        let narrow = |v: &[f64]| -> Vec<f32> { v.iter().map(|&x| x as f32).collect() };
        let wide = |v: &[f32]| -> Vec<f64> { v.iter().map(|&x| f64::from(x)).collect() };
        let mut params = Params::new(&device, Precision::F32);
        let body_id = params.push("body", [D, D], &narrow(&body));
        let head_id = params.push("head", [V, D], &narrow(&head));
        let mut teacher = Params::new(&device, Precision::F32);
        let teacher_head = teacher.push("head", [V, D], &narrow(&self.teacher_head));
        let targets = match self.kind {
            Kind::Whole => Targets::Soft(TeacherLogits::one(
                Tensor::from_f32(&device, [T, D], &narrow(&self.teacher)),
                &teacher,
                teacher_head,
            )),
            Kind::Samples => Targets::Samples(sparse(self.kind)),
            Kind::Kept | Kind::Tail => Targets::TopPK(sparse(self.kind)),
        };
        let expected = self.naive(&body, &head);
        let taught_scale = 1.0 / f64::max(expected[4], 1.0) as f32;
        let mixture = Mixture { objective: self.objective, taught_scale, ..Mixture::text(&LABELS, 0.25) };
        let mixture = mixture.with_targets(&targets);
        let live = targets.live();
        let mut tape = Tape::training(&params);
        let leaf = tape.leaf(Tensor::from_f32(&device, [T, D], &narrow(&self.x)));
        let hidden = tape.linear(&leaf, body_id);
        let mut grads = Grads::zeros(&params);
        let forward = tape.linear_loss(&hidden, head_id, live, &mixture);
        let (sums, _) = tape.linear_loss_backward(&hidden, head_id, live, &mixture, &mut grads);
        assert_close(&what, &forward, &sums, 1e-9, 1e-6);
        let terms = tutelage_loss::Terms::from_sums(&sums);
        let loss = terms.text / 4.0 + terms.teacher * f64::from(taught_scale);
        assert_close(&what, &[loss, terms.lm, terms.kd, terms.kl, terms.taught], &expected, 3e-6, 3e-6);
        let slope = finite_difference(&head, |head| self.naive(&body, head)[0]);
        assert_close(&format!("{what}: head"), &wide(grads.get(head_id)), &slope, 3e-6, 1e-5);
        let slope = finite_difference(&body, |body| self.naive(body, &head)[0]);
        assert_close(&format!("{what}: body"), &wide(grads.get(body_id)), &slope, 3e-6, 1e-5);
    }
}

fn case(kind: Kind, objective: Objective) -> Case {
    Case { objective, kind, x: wave(T * D, 1, 1.0), teacher: wave(T * D, 4, 1.0), teacher_head: wave(V * D, 5, 1.0) }
}

#[test]
fn every_distance_has_its_slope() {
    for divergence in ALL {
        for kind in [Kind::Whole, Kind::Kept, Kind::Tail, Kind::Samples] {
            let objective = Objective { divergence, tail: kind == Kind::Tail, ..Objective::mix(0.6) };
            let of = match kind {
                Kind::Whole => tutelage_loss::TargetKind::Whole,
                Kind::Kept | Kind::Tail => tutelage_loss::TargetKind::TopPK,
                Kind::Samples => tutelage_loss::TargetKind::Samples,
            };
            if objective.check(of).is_ok() {
                case(kind, objective).check();
            }
        }
    }
}

#[test]
fn every_temperature_has_its_slope() {
    let temperatures = [
        Temperature::Fixed(2.0),
        Temperature::Deviation { factor: 1.5 },
        Temperature::Entropy { certain: 3.0, uncertain: 0.5 },
    ];
    let students = [StudentTemperature::Fixed(1.0), StudentTemperature::Fixed(1.5), StudentTemperature::Teacher];
    for divergence in [Divergence::ForwardKl, Divergence::Nll, Divergence::Jsd { beta: 0.5 }, Divergence::LogitMse] {
        for temperature in temperatures {
            for student_temperature in students {
                for (temperature_squared, kind) in [(false, Kind::Whole), (true, Kind::Whole), (true, Kind::Kept)] {
                    let objective = Objective {
                        divergence,
                        temperature,
                        student_temperature,
                        temperature_squared,
                        ..Objective::mix(0.4)
                    };
                    case(kind, objective).check();
                }
            }
        }
    }
    let tail = Objective { tail: true, student_temperature: StudentTemperature::Fixed(1.5), ..Objective::mix(0.4) };
    case(Kind::Tail, tail).check();
}

#[test]
fn guided_rows_are_those_the_teacher_gets_right() {
    for (kind, divergence) in [
        (Kind::Whole, Divergence::ForwardKl),
        (Kind::Whole, Divergence::ReverseKl),
        (Kind::Kept, Divergence::ForwardKl),
        (Kind::Kept, Divergence::Mse),
        (Kind::Tail, Divergence::ReverseKl),
        (Kind::Samples, Divergence::Nll),
    ] {
        let objective = Objective { divergence, guided: true, tail: kind == Kind::Tail, ..Objective::mix(0.5) };
        let mut case = case(kind, objective);
        case.check();
        // A teacher that is always wrong teaches nothing, and divides by nothing.
        if kind == Kind::Whole {
            let worst = case.teacher_head[..D].to_vec();
            case.teacher_head = vec![0.0; V * D];
            case.teacher_head[D..2 * D].copy_from_slice(&worst);
            case.teacher_head[2 * D..3 * D].iter_mut().zip(&worst).for_each(|(x, y)| *x = -y);
            case.check();
        }
    }
}
