//! What is compared inside of student and teacher, in whole steps.

use std::ops::Range;

use tutelage_data::Batch;
use tutelage_loss::features::FeatureKind;
use tutelage_loss::{Schedule, Shape};
use tutelage_model::{Decoder, DecoderConfig, Family, Options, RopeScaling};
use tutelage_teacher::LiveTeacher;
use tutelage_tensor::{Device, Isa, Params, Precision};
use tutelage_train::{Distillation, FeatureSchedule, Learner, StepOutcome, TrainConfig};

pub(crate) fn sizes(d_model: usize, n_layers: usize) -> DecoderConfig {
    DecoderConfig {
        family: Family::InternLm2,
        vocab_size: 30,
        d_model,
        n_layers,
        n_heads: 2,
        n_kv_heads: 1,
        d_head: d_model / 2,
        d_ff: 24,
        tied_embeddings: false,
        options: Options::default(),
        max_positions: 12,
        rope_theta: 1e4,
        rope_scaling: RopeScaling::None,
        norm_eps: 1e-5,
        init_std: 0.2,
        bos: Some(1),
        eos: 2,
        more_eos: Vec::new(),
    }
}

pub(crate) fn train_config(features: Vec<FeatureSchedule>) -> TrainConfig {
    TrainConfig {
        steps: 40,
        batch_size: 8,
        micro_batch_size: 8,
        lr: Schedule { peak: 0.01, warmup_steps: 0, shape: Shape::Constant },
        beta1: 0.9,
        beta2: 0.95,
        eps: 1e-8,
        weight_decay: 0.0,
        grad_clip: 0.0,
        data_seed: 5,
        log_every: 5,
        eval_every: 0,
        checkpoint_every: 100,
        keep_checkpoints: 1,
        snapshots: Vec::new(),
        distillation: Some(Distillation { features, ..Distillation::mix(Schedule::constant(0.5)) }),
        teacher_flops: 0,
    }
}

/// Eight sequences of twelve rows in documents of several lengths; some rows, and one whole sequence, are not learned.
fn sequences() -> Vec<Batch> {
    let one = |number: usize| {
        let ids: Vec<i32> = (0..12).map(|i| 3 + ((i * i + 5 * number) % 25) as i32).collect();
        let cut = 1 + number;
        let documents: Vec<Range<usize>> = vec![0..cut, cut..12];
        let label = |row: usize| match row % 5 == 4 || number == 3 || row + 1 == cut || row == 11 {
            true => -1,
            false => ids[row + 1],
        };
        Batch {
            labels: (0..12).map(label).collect(),
            positions: documents.iter().flat_map(|rows| 0..rows.len() as i32).collect(),
            documents,
            routes: Vec::new(),
            sequences: vec![(number, 0..12)],
            ids,
        }
    };
    (0..8).map(one).collect()
}

/// Batches laid end to end.
pub(crate) fn joined(parts: &[Batch]) -> Batch {
    let mut out = Batch::default();
    for part in parts {
        let start = out.ids.len();
        let moved = |rows: &Range<usize>| rows.start + start..rows.end + start;
        out.ids.extend(&part.ids);
        out.labels.extend(&part.labels);
        out.positions.extend(&part.positions);
        out.documents.extend(part.documents.iter().map(moved));
        out.sequences.extend(part.sequences.iter().map(|(number, rows)| (*number, moved(rows))));
    }
    out
}

/// Sequences, so many at a time.
pub(crate) fn batches(at_once: usize) -> Vec<Batch> {
    sequences().chunks(at_once).map(joined).collect()
}

fn all(d_teacher: usize) -> Vec<FeatureSchedule> {
    FeatureKind::ALL
        .into_iter()
        .map(|kind| FeatureSchedule {
            kind,
            weight: Schedule::constant(0.7),
            relative: kind == FeatureKind::Channels,
            pairs: if kind == FeatureKind::AttentionKl { vec![(1, 2), (2, 3)] } else { vec![(0, 0), (2, 3)] },
            projection: (kind != FeatureKind::AttentionKl).then_some(d_teacher),
        })
        .collect()
}

fn device() -> Device {
    Device::cpu(2, Isa::detect()).unwrap()
}

fn teacher(config: DecoderConfig, precision: Precision) -> LiveTeacher {
    LiveTeacher::new(Decoder::random_in(config, Params::frozen(&device(), precision), 9).unwrap(), 30)
}

fn learner(precision: Precision, config: &TrainConfig, recompute: bool) -> Learner {
    let mut model = Decoder::random(sizes(16, 2), &device(), precision, 3).unwrap();
    model.set_recompute(recompute);
    Learner::new(model, config)
}

fn step(at_once: usize, teacher_rows: usize) -> StepOutcome {
    let config = train_config(all(24));
    let teacher = teacher(sizes(24, 3), Precision::F32).in_batches(teacher_rows);
    learner(Precision::F32, &config, false).step(&batches(at_once), &config, 0, Some(&teacher)).unwrap()
}

#[test]
fn one_batch_of_eight_is_eight_of_one() {
    let one = step(8, usize::MAX);
    assert!(one.losses.features.iter().all(|value| *value > 0.0), "{one:?}");
    for (at_once, teacher_rows) in [(1, usize::MAX), (3, usize::MAX), (8, 20)] {
        let other = step(at_once, teacher_rows);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-6 * a.abs().max(1.0), "{one:?} {other:?}");
        close(one.losses.loss, other.losses.loss);
        one.losses.features.iter().zip(other.losses.features).for_each(|(a, b)| close(*a, b));
        assert!((one.grad_norm - other.grad_norm).abs() < 1e-5 * one.grad_norm, "{one:?} {other:?}");
    }
}

#[test]
fn the_loss_is_the_weighted_sum() {
    let with = step(8, usize::MAX).losses;
    let config = train_config(Vec::new());
    let teacher = teacher(sizes(24, 3), Precision::F32);
    let without = learner(Precision::F32, &config, false).step(&batches(8), &config, 0, Some(&teacher)).unwrap().losses;
    let expected = without.loss + 0.7 * with.features.iter().sum::<f64>();
    assert!((with.loss - expected).abs() < 1e-9 * expected, "{with:?} {without:?}");
    assert_eq!((with.lm, with.kl), (without.lm, without.kl));
}

#[test]
fn a_student_learns_what_is_inside() {
    for precision in [Precision::F32, Precision::Bf16] {
        let config = train_config(all(24));
        let teacher = teacher(sizes(24, 3), precision);
        let mut learner = learner(precision, &config, false);
        let mut step = |i| learner.step(&batches(8), &config, i, Some(&teacher)).unwrap().losses.features;
        let first = step(0);
        let last = (1..40).map(&mut step).last().unwrap();
        first.iter().zip(last).for_each(|(first, last)| assert!(last < 0.7 * first, "{first:?} {last:?}"));
        // What stood beside the model is gone with the training.
        let fresh = Decoder::random(sizes(16, 2), &device(), precision, 3).unwrap();
        assert_eq!(learner.into_model().params().n_weights(), fresh.params().n_weights());
    }
}

#[test]
fn blocks_that_are_computed_again_have_the_same_bits() {
    let config = train_config(all(24));
    let teacher = teacher(sizes(24, 3), Precision::Bf16);
    let run = |recompute| {
        let mut learner = learner(Precision::Bf16, &config, recompute);
        (0..3).map(|i| learner.step(&batches(4), &config, i, Some(&teacher)).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn a_model_is_at_no_distance_from_itself() {
    let same = sizes(16, 2);
    let features = FeatureKind::ALL
        .into_iter()
        .map(|kind| FeatureSchedule {
            kind,
            weight: Schedule::constant(1.0),
            relative: true,
            pairs: vec![(1, 1), (2, 2)],
            projection: None,
        })
        .collect();
    let config = train_config(features);
    let model = Decoder::random_in(same, Params::frozen(&device(), Precision::F32), 3).unwrap();
    let teacher = LiveTeacher::new(model, 30);
    let found = learner(Precision::F32, &config, false).step(&batches(8), &config, 0, Some(&teacher)).unwrap();
    assert!(found.losses.features.iter().all(|value| value.abs() < 1e-6), "{found:?}");
}
