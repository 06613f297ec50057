//! Every kind of target and distance; `fixtures/mixture/make.py` writes what is compared.

use tutelage_loss::{Divergence, Mixture, SparseTargets, Targets};
use tutelage_tensor::kernels::linear_loss::TeacherLogits;
use tutelage_tensor::{Device, Grads, Isa, Params, Precision, Tape, Tensor};
use tutelage_testkit::{Fixture, assert_close};

const CASES: [(&str, Divergence, f32, f32, f32, bool); 5] = [
    ("kl", Divergence::ForwardKl, 0.7, 2.0, 1.0, false),
    ("nll", Divergence::Nll, 0.7, 2.0, 1.0, false),
    ("mse", Divergence::Mse, 0.7, 2.0, 1.0, false),
    ("tempered", Divergence::ForwardKl, 0.4, 2.0, 1.5, true),
    ("alone", Divergence::ForwardKl, 1.0, 1.0, 2.0, false),
];

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

    fn check(&self, name: &str, mixture: Mixture<'_>, targets: &Targets<'_>) {
        let (params, head) = self.params("head");
        let teacher = match targets {
            Targets::Soft(logits) => Some(logits),
            _ => None,
        };
        let mixture = mixture.with_targets(targets);
        let mut tape = Tape::training(&params);
        let hidden = tape.leaf(self.activation("hidden"));
        let forward_only = tape.linear_loss(&hidden, head, teacher, &mixture);
        let mut grads = Grads::zeros(&params);
        let (terms, _) = tape.linear_loss_backward(&hidden, head, teacher, &mixture, &mut grads);
        assert_close(name, &forward_only, &terms, 1e-9, 1e-6);
        let (absolute, relative) = match self.precision {
            Precision::F32 => (1e-4, 1e-5),
            Precision::Bf16 => (0.5, 0.03),
        };
        assert_close(name, &terms, &self.fixture.get(&format!("{name}.terms")).1, absolute, relative);
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
    let scale = 1.0 / labels.iter().filter(|&&l| l >= 0).count() as f32;
    for isa in Isa::ALL {
        let Ok(device) = Device::cpu(2, isa) else { continue };
        for precision in [Precision::F32, Precision::Bf16] {
            let case = Case { fixture: &fixture, device: device.clone(), precision, labels: labels.clone() };
            case.check("hard", Mixture::text(&case.labels, scale), &Targets::Hard);
            let (teacher, teacher_head) = case.params("teacher_head");
            for (name, divergence, alpha, teacher_temperature, student_temperature, temperature_squared) in CASES {
                let mixture = Mixture {
                    alpha,
                    divergence,
                    teacher_temperature,
                    student_temperature,
                    temperature_squared,
                    ..Mixture::text(&case.labels, scale)
                };
                let hidden = case.activation("teacher_hidden");
                let soft = Targets::Soft(TeacherLogits { hidden, params: &teacher, head: teacher_head });
                case.check(&format!("soft.{name}"), mixture, &soft);
                case.check(&format!("topk.{name}"), mixture, &Targets::TopK(case.sparse("log_probs")));
                case.check(&format!("sampled.{name}"), mixture, &Targets::Sampled(case.sparse("counts")));
            }
        }
    }
}
