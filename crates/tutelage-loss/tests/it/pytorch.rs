//! Every kind of target and distance; `fixtures/mixture/make.py` writes what is compared.

use tutelage_loss::{Divergence, Mixture, Objective, SparseTargets, StudentTemperature, Targets, Temperature, Terms};
use tutelage_tensor::kernels::linear_loss::TeacherLogits;
use tutelage_tensor::{Device, Grads, Isa, Params, Precision, Tape, Tensor};
use tutelage_testkit::{Fixture, assert_close};

/// Cases by name, with the kinds of targets that they are made for.
fn cases() -> Vec<(&'static str, &'static [&'static str], Objective)> {
    let of = |alpha: f64, temperature: f64, divergence| Objective {
        divergence,
        temperature: Temperature::Fixed(temperature),
        ..Objective::mix(alpha)
    };
    let all: &[&str] = &["soft", "topk", "samples"];
    let two: &[&str] = &["soft", "topk"];
    let tail = |divergence| Objective { tail: true, ..of(0.7, 1.0, divergence) };
    let kl = Divergence::ForwardKl;
    let squared =
        |base: Objective, student_temperature| Objective { student_temperature, temperature_squared: true, ..base };
    vec![
        ("kl", two, of(0.7, 2.0, kl)),
        ("nll", two, of(0.7, 2.0, Divergence::Nll)),
        ("mse", two, of(0.7, 2.0, Divergence::Mse)),
        ("kl", &["samples"], of(0.7, 1.0, kl)),
        ("nll", &["samples"], of(0.7, 1.0, Divergence::Nll)),
        ("mse", &["samples"], of(0.7, 1.0, Divergence::Mse)),
        ("jsd", two, of(0.7, 2.0, Divergence::Jsd { beta: 0.3 })),
        ("skl", two, of(0.7, 2.0, Divergence::SkewKl { skew: 0.1 })),
        ("srkl", two, of(0.7, 2.0, Divergence::SkewReverseKl { skew: 0.1 })),
        ("tv", two, of(0.7, 2.0, Divergence::TotalVariation)),
        ("logits", two, of(0.7, 2.0, Divergence::LogitMse)),
        ("rkl", &["soft"], of(0.7, 2.0, Divergence::ReverseKl)),
        ("guided", all, Objective { guided: true, ..of(0.5, 1.0, kl) }),
        ("alone", all, Objective { student_temperature: StudentTemperature::Fixed(2.0), ..of(1.0, 1.0, kl) }),
        ("tempered", two, squared(of(0.4, 2.0, kl), StudentTemperature::Fixed(1.5))),
        ("hinton", two, squared(of(0.4, 2.0, kl), StudentTemperature::Teacher)),
        (
            "deviation",
            two,
            Objective {
                temperature: Temperature::Deviation { factor: 0.7 },
                ..squared(of(0.6, 1.0, kl), StudentTemperature::Teacher)
            },
        ),
        (
            "entropy",
            two,
            Objective {
                temperature: Temperature::Entropy { certain: 3.0, uncertain: 0.5 },
                ..of(0.6, 1.0, Divergence::Jsd { beta: 0.3 })
            },
        ),
        ("kl", &["tail"], tail(kl)),
        ("rkl", &["tail"], tail(Divergence::ReverseKl)),
        ("jsd", &["tail"], tail(Divergence::Jsd { beta: 0.3 })),
        ("skl", &["tail"], tail(Divergence::SkewKl { skew: 0.1 })),
        ("srkl", &["tail"], tail(Divergence::SkewReverseKl { skew: 0.1 })),
        ("tv", &["tail"], tail(Divergence::TotalVariation)),
        ("mse", &["tail"], tail(Divergence::Mse)),
        ("tempered", &["tail"], Objective { student_temperature: StudentTemperature::Fixed(1.5), ..tail(kl) }),
        ("guided", &["tail"], Objective { guided: true, ..tail(kl) }),
    ]
}

struct Case<'a> {
    fixture: &'a Fixture,
    device: Device,
    precision: Precision,
    labels: Vec<i32>,
}

impl Case<'_> {
    fn narrow(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let (shape, values) = self.fixture.get(name);
        (shape, values.iter().map(|&x| x as f32).collect())
    }

    fn activation(&self, name: &str) -> Tensor {
        let (shape, values) = self.narrow(name);
        Tensor::rounded(&self.device, shape, &values, self.precision.activation())
    }

    fn params(&self, name: &str) -> (Params, tutelage_tensor::ParamId) {
        let mut params = Params::new(&self.device, self.precision);
        let (shape, values) = self.narrow(name);
        let id = params.push("head", shape, &values);
        (params, id)
    }

    fn sparse(&self, values: &str) -> SparseTargets {
        let ((shape, ids), (_, values)) = (self.fixture.get("ids"), self.narrow(values));
        let mut out = SparseTargets::new();
        for row in 0..shape[0] {
            out.ids.extend(ids[row * shape[1]..][..shape[1]].iter().map(|&id| id as u32));
            out.values.extend(&values[row * shape[1]..][..shape[1]]);
            out.end_row();
        }
        out
    }

    fn check(&self, name: &str, objective: Objective, targets: &Targets<'_>) {
        let (params, head) = self.params("head");
        let teacher = targets.live();
        // The loss, cross-entropy, distance, KL at temperature 1, and how many rows are taught.
        let expected = self.fixture.get(&format!("{name}.terms")).1;
        let (n, taught) = (self.labels.iter().filter(|&&l| l >= 0).count() as f64, expected[4].max(1.0));
        let (scale, taught_scale) = (1.0 / n as f32, 1.0 / taught as f32);
        let mixture = Mixture { objective, taught_scale, ..Mixture::text(&self.labels, scale) }.with_targets(targets);
        let mut tape = Tape::training(&params);
        let hidden = tape.leaf(self.activation("hidden"));
        let forward_only = tape.linear_loss(&hidden, head, teacher, &mixture);
        let mut grads = Grads::zeros(&params);
        let (sums, _) = tape.linear_loss_backward(&hidden, head, teacher, &mixture, &mut grads);
        assert_close(name, &forward_only, &sums, 1e-9, 1e-6);
        let (absolute, relative) = match self.precision {
            Precision::F32 => (1e-4, 1e-5),
            Precision::Bf16 => (0.5, 0.03),
        };
        let terms = Terms::from_sums(&sums);
        let loss = terms.text / n + terms.teacher / taught;
        let found = [loss, terms.lm, terms.kd, terms.kl];
        assert_close(name, &found, &expected[..4], absolute, relative);
        // In bf16 a teacher may find two entries the other way round.
        if self.precision == Precision::F32 {
            assert_eq!(terms.taught, expected[4], "{name}");
        }
        let dhead: Vec<f64> = grads.get(head).iter().map(|&x| f64::from(x)).collect();
        let expected = self.fixture.get(&format!("{name}.dhead")).1;
        let (absolute, relative) = match self.precision {
            Precision::F32 => (1e-6, 1e-5),
            Precision::Bf16 => (4e-3, 0.05),
        };
        assert_close(name, &dhead, &expected, absolute, relative);
    }
}

#[test]
fn objectives_agree_with_pytorch() {
    let fixture = Fixture::open(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mixture/mixture.safetensors"));
    let labels: Vec<i32> = fixture.get("labels").1.iter().map(|&l| l as i32).collect();
    for isa in Isa::ALL {
        let Ok(device) = Device::cpu(2, isa) else { continue };
        for precision in [Precision::F32, Precision::Bf16] {
            let case = Case { fixture: &fixture, device: device.clone(), precision, labels: labels.clone() };
            case.check("hard", Objective::TEXT, &Targets::Hard);
            let (teacher, teacher_head) = case.params("teacher_head");
            for (name, kinds, objective) in cases() {
                for &kind in kinds {
                    let hidden = case.activation("teacher_hidden");
                    let targets = match kind {
                        "soft" => Targets::Soft(TeacherLogits::one(hidden, &teacher, teacher_head)),
                        "samples" => Targets::Samples(case.sparse("counts")),
                        _ => Targets::TopPK(case.sparse("log_probs")),
                    };
                    case.check(&format!("{kind}.{name}"), objective, &targets);
                }
            }
        }
    }
}
