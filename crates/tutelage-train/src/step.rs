//! The gradient of one step.

use tutelage_data::{Batch, IGNORED};
use tutelage_loss::{Mixture, Targets, Teacher, TeacherInput, Terms};
use tutelage_model::{Decoder, Input};
use tutelage_tensor::{Grads, Tape};

use crate::{Distillation, TrainConfig, TrainError};

/// Means over the learned tokens of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StepResult {
    pub(crate) terms: Terms,
    /// Balance loss of experts, where there are any; its share is in the objective.
    pub(crate) balance: Option<f64>,
    /// Rows that went through the model.
    pub(crate) tokens: u64,
}

/// Adds the gradient of the mean loss over micro-batches. The mean is over all learned tokens of the step,
/// whichever micro-batch they fall into.
pub(crate) fn accumulate(
    model: &Decoder,
    batches: &[Batch],
    config: &TrainConfig,
    step: u64,
    mut teacher: Option<&mut (dyn Teacher + '_)>,
    grads: &mut Grads,
) -> Result<StepResult, TrainError> {
    let n_targets: usize = batches.iter().map(Batch::n_targets).sum();
    let scale = 1.0 / n_targets.max(1) as f32;
    let mut sums = [0.0; 3];
    let mut tokens = 0;
    let mut balance = None;
    for batch in batches {
        let targets = match teacher.as_deref_mut() {
            Some(teacher) => teacher.targets(teacher_input(batch))?,
            None => Targets::Hard,
        };
        let mixture = mixture(batch, config.distillation.as_ref(), (step, config.steps), scale);
        let live = match &targets {
            Targets::Soft(logits) => Some(logits),
            _ => None,
        };
        let mut tape = Tape::training(model.params());
        let input = Input { ids: &batch.ids, positions: &batch.positions, documents: &batch.documents };
        let share = f64::from(scale) * batch.n_targets() as f64;
        let load = model.new_load(share);
        let hidden = model.hidden_with_load(&mut tape, input, load.as_ref());
        let objective = mixture.with_targets(&targets);
        let (terms, _) = tape.linear_loss_backward(&hidden, model.head(), live, &objective, grads);
        sums.iter_mut().zip(&terms).for_each(|(sum, term)| *sum += term);
        if let Some(load) = load {
            *balance.get_or_insert(0.0) += share * load.loss();
        }
        tokens += batch.ids.len() as u64;
    }
    let means = sums.map(|sum| sum / n_targets.max(1) as f64);
    let mut terms = Terms::from_sums(&means);
    if let (Some(balance), Some(experts)) = (balance, &model.config().options.experts) {
        terms.loss += experts.balance * balance;
    }
    Ok(StepResult { terms, balance, tokens })
}

fn teacher_input(batch: &Batch) -> TeacherInput<'_> {
    TeacherInput {
        ids: &batch.ids,
        positions: &batch.positions,
        documents: &batch.documents,
        sequences: &batch.sequences,
    }
}

fn mixture<'b>(
    batch: &'b Batch,
    distillation: Option<&Distillation>,
    (step, steps): (u64, u64),
    scale: f32,
) -> Mixture<'b> {
    const { assert!(IGNORED < 0, "objectives skip negative labels") };
    let text = Mixture::text(&batch.labels, scale);
    match distillation {
        None => text,
        Some(d) => Mixture {
            alpha: d.alpha.at(step, steps) as f32,
            divergence: d.divergence,
            teacher_temperature: d.temperature.at(step, steps) as f32,
            student_temperature: d.student_temperature as f32,
            temperature_squared: d.temperature_squared,
            ..text
        },
    }
}
