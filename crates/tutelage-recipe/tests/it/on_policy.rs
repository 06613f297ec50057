//! A student that is taught about its own texts.

use tutelage_data::{Batch, IGNORED};
use tutelage_generate::{RolloutPrompt, Sampling, rollouts};
use tutelage_loss::{Divergence, Schedule};
use tutelage_model::Decoder;
use tutelage_teacher::LiveTeacher;
use tutelage_tensor::{Device, Isa, Params, Precision};
use tutelage_train::{Distillation, Learner, Losses, StepBatches, TrainConfig};

use crate::features;

fn device() -> Device {
    Device::cpu(2, Isa::detect()).unwrap()
}

fn teacher() -> LiveTeacher {
    let model = Decoder::random_in(features::sizes(24, 3), Params::frozen(&device(), Precision::F32), 9).unwrap();
    LiveTeacher::new(model, 30)
}

fn train_config(divergence: Divergence) -> TrainConfig {
    let distillation = Distillation { divergence, ..Distillation::mix(Schedule::constant(0.6)) };
    TrainConfig { distillation: Some(distillation), ..features::train_config(Vec::new()) }
}

fn student() -> Decoder {
    Decoder::random(features::sizes(16, 2), &device(), Precision::F32, 3).unwrap()
}

/// What the student writes after these first tokens, as a batch each.
fn own(model: &Decoder, n: usize, seed: u64) -> Vec<Batch> {
    let prompt = |i: usize| RolloutPrompt {
        ids: vec![3 + i as i32, 7],
        max_tokens: 6 + i % 4,
        sampling: Sampling { temperature: 1.0, top_p: 1.0, seed: seed + i as u64, ..Sampling::default() },
    };
    let prompts: Vec<RolloutPrompt> = (0..n).map(prompt).collect();
    let texts = rollouts(model, &prompts, 30, &[2]);
    let batch = |(prompt, text): (&RolloutPrompt, &Vec<i32>)| {
        let ids: Vec<i32> = prompt.ids.iter().chain(&text[..text.len() - 1]).copied().collect();
        let rows = 0..ids.len();
        let labels = [IGNORED].into_iter().chain(text.iter().copied()).collect();
        Batch { labels, positions: (0..ids.len() as i32).collect(), documents: vec![rows], ids, ..Batch::default() }
    };
    prompts.iter().zip(&texts).map(batch).collect()
}

fn step(divergence: Divergence, text: Vec<Batch>, own: Vec<Batch>) -> (Losses, f64) {
    let config = train_config(divergence);
    let batches = StepBatches { text, own };
    let outcome = Learner::new(student(), &config).step_on(&batches, &config, 0, Some(&teacher())).unwrap();
    (outcome.losses, outcome.grad_norm)
}

#[test]
fn one_batch_of_eight_is_eight_of_one() {
    let written = own(&student(), 4, 1);
    for divergence in [Divergence::Jsd { beta: 0.5 }, Divergence::SampledReverseKl] {
        let (one, norm) = step(divergence, features::batches(8), vec![features::joined(&written)]);
        let (eight, other_norm) = step(divergence, features::batches(1), written.clone());
        for (a, b) in [
            (one.loss, eight.loss),
            (one.lm, eight.lm),
            (one.kd, eight.kd),
            (one.kl, eight.kl),
            (one.taught, eight.taught),
            (one.own, eight.own),
            (norm, other_norm),
        ] {
            assert!((a - b).abs() < 2e-6 * a.abs().max(1.0), "{one:?} {eight:?}");
        }
        let own_rows: usize = written.iter().map(Batch::n_targets).sum();
        let all = own_rows + features::batches(8)[0].n_targets();
        assert!((one.own - own_rows as f64 / all as f64).abs() < 1e-12);
        let sampled = divergence == Divergence::SampledReverseKl;
        assert_eq!(one.taught, if sampled { one.own } else { 1.0 });
        // Text is weighed by 1 - alpha, and what the student wrote is no text.
        let text = 0.4 * one.lm * (1.0 - one.own);
        assert!((one.loss - text - 0.6 * one.kd).abs() < 1e-6, "{one:?}");
    }
}

#[test]
fn the_cross_entropy_is_that_of_text_alone() {
    let without = step(Divergence::ForwardKl, features::batches(8), Vec::new()).0;
    let with = step(Divergence::ForwardKl, features::batches(8), own(&student(), 3, 5)).0;
    assert!((with.lm - without.lm).abs() < 1e-9 && without.own == 0.0);
    let alone = step(Divergence::ForwardKl, Vec::new(), own(&student(), 3, 5)).0;
    assert_eq!((alone.own, alone.lm), (1.0, 0.0));
}

#[test]
fn a_student_comes_nearer_to_its_teacher_where_it_goes_itself() {
    for divergence in [Divergence::ReverseKl, Divergence::SampledReverseKl] {
        let config = TrainConfig {
            distillation: Some(Distillation { divergence, ..Distillation::mix(Schedule::constant(1.0)) }),
            ..features::train_config(Vec::new())
        };
        let exact = train_config(Divergence::ReverseKl);
        let mut learner = Learner::new(student(), &config);
        // How far it is from the teacher over texts of its own, exactly.
        let distance = |model: Decoder| {
            let batches = StepBatches { text: Vec::new(), own: own(&model, 24, 1000) };
            Learner::new(model, &exact).step_on(&batches, &exact, 0, Some(&teacher())).unwrap().losses.kd
        };
        let before = distance(student());
        for i in 0..40 {
            let batches = StepBatches { text: Vec::new(), own: own(learner.model(), 24, 24 * i) };
            learner.step_on(&batches, &config, i, Some(&teacher())).unwrap();
        }
        let after = distance(learner.into_model());
        assert!(after < 0.7 * before, "{divergence}: {before} before, {after} after");
    }
}
