//! A teacher in the step: the same mean however the step is divided, numbers that are logged.

use tutelage_data::{Batch, SequenceOrder};
use tutelage_loss::{Divergence, Schedule, SparseTargets, Targets, Teacher, TeacherError, TeacherInput};
use tutelage_tensor::{Device, Isa, Precision};
use tutelage_train::{Distillation, Learner, StepOutcome, TemperatureSchedule, TrainConfig, Weights};

/// Finds the next token most likely in about every second row, some others beside it.
struct Sparse;

impl Teacher for Sparse {
    fn targets(&self, input: TeacherInput<'_>) -> Result<Targets<'_>, TeacherError> {
        let mut out = SparseTargets::new();
        for (row, &id) in input.ids.iter().enumerate() {
            let document = input.documents.iter().find(|document| document.contains(&row)).unwrap();
            let next = input.ids[document.clone()].get(row - document.start + 1).map_or(0, |&next| next as u32);
            let best = if id % 2 == 0 { next } else { (next + 1) % 30 };
            out.ids.extend([best, (best + 5) % 30, (best + 9) % 30]);
            out.values.extend([0.6f32.ln(), 0.2f32.ln(), 0.1f32.ln()]);
            out.end_row();
        }
        Ok(Targets::TopPK(out))
    }
}

fn step(distillation: &Distillation, micro_batch_size: usize) -> StepOutcome {
    let folder = crate::Folder::new(&format!("taught-{micro_batch_size}-{:?}", std::thread::current().id()));
    let set = crate::set(&folder.0);
    let config = TrainConfig { batch_size: 8, distillation: Some(distillation.clone()), ..crate::config() };
    let indices = SequenceOrder::new(set.n_sequences(), 5).step(0, 8);
    let batches: Vec<Batch> = indices.chunks(micro_batch_size).map(|indices| Batch::new(&set, indices)).collect();
    let device = Device::cpu(2, Isa::detect()).unwrap();
    let model = tutelage_model::Decoder::random(crate::decoder_config(24), &device, Precision::F32, 3).unwrap();
    Learner::new(model, &config).step(&batches, &config, 0, Some(&Sparse)).unwrap()
}

#[test]
fn one_batch_of_eight_is_eight_of_one() {
    let base = Distillation::mix(Schedule::constant(0.7));
    let guided = Distillation { guided: true, ..base.clone() };
    for distillation in [
        base.clone(),
        guided.clone(),
        Distillation { tail: true, divergence: Divergence::ReverseKl, ..guided.clone() },
        Distillation {
            divergence: Divergence::Jsd { beta: 0.5 },
            temperature: TemperatureSchedule::Deviation { factor: Schedule::constant(1.5) },
            temperature_squared: true,
            weights: Weights::Separate { text: Schedule::constant(0.2), teacher: Schedule::constant(2.0) },
            ..guided
        },
    ] {
        let [one, eight, uneven] = [8, 1, 3].map(|micro| step(&distillation, micro));
        for other in [eight, uneven] {
            let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-6 * a.abs().max(1.0), "{one:?} {other:?}");
            close(one.losses.loss, other.losses.loss);
            close(one.losses.kd, other.losses.kd);
            close(one.losses.kl, other.losses.kl);
            close(one.losses.taught, other.losses.taught);
            assert!((one.grad_norm - other.grad_norm).abs() < 1e-6 * one.grad_norm, "{one:?} {other:?}");
        }
        assert_eq!(distillation.guided, one.losses.taught < 1.0);
        assert!(one.losses.taught > 0.2 && one.losses.kl > 0.0);
    }
}

#[test]
fn weights_of_one_schedule_are_weights_of_two() {
    let half = Schedule { peak: 0.5, warmup_steps: 0, shape: tutelage_loss::Shape::Linear { end: 0.1 } };
    let separate = Weights::Separate { text: half.clone(), teacher: half };
    let alpha = Distillation::mix(Schedule::constant(0.5));
    let [a, b] = [alpha.clone(), Distillation { weights: separate, ..alpha }].map(|d| step(&d, 4));
    assert_eq!(a.losses, b.losses);
}
