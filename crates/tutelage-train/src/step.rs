//! The gradient of one step.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tutelage_data::{Batch, IGNORED};
use tutelage_loss::features::FeatureKind;
use tutelage_loss::{Mixture, Objective, Targets, Teacher, TeacherInput, Terms, guided};
use tutelage_model::{Decoder, Input, Onlookers, Probe};
use tutelage_tensor::{Grads, Tape};

use crate::features::{Counts, FeatureLosses, Projections, taps};
use crate::{TrainConfig, TrainError};

/// Means over the learned tokens of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// What is minimised.
    pub loss: f64,
    /// Cross-entropy with the text.
    pub lm: f64,
    /// Distance to the teacher, over the rows that are taught.
    pub kd: f64,
    /// `KL(t || q)` at temperature 1, whatever the objective, over all rows.
    pub kl: f64,
    /// Share of the rows that are taught.
    pub taught: f64,
    /// What is compared inside of student and teacher, in the order of [`FeatureKind::ALL`], without weights.
    #[serde(default)]
    pub features: [f64; FeatureKind::N],
}

/// A model in training, with what stands beside it.
#[derive(Clone, Copy)]
pub(crate) struct Student<'a> {
    pub(crate) model: &'a Decoder,
    pub(crate) projections: &'a Projections,
}

/// What a step found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StepResult {
    pub(crate) losses: Losses,
    /// Balance loss of experts, where there are any; its share is in the objective.
    pub(crate) balance: Option<f64>,
    /// Rows that went through the model.
    pub(crate) tokens: u64,
}

/// Adds the gradient of the mean loss over micro-batches. The mean is over all learned tokens of the step,
/// whichever micro-batch they fall into.
pub(crate) fn accumulate(
    Student { model, projections }: Student<'_>,
    batches: &[Batch],
    config: &TrainConfig,
    step: u64,
    teacher: Option<&dyn Teacher>,
    grads: &mut Grads,
) -> Result<StepResult, TrainError> {
    const { assert!(IGNORED < 0, "objectives skip negative labels") };
    let objective = config.distillation.as_ref().map_or(Objective::TEXT, |d| d.at(step, config.steps));
    let terms = config.distillation.as_ref().map_or(Vec::new(), |d| d.features_at(step, config.steps));
    let (taps, counts) = (taps(&terms), Counts::of(batches));
    let ask = |batch: &Batch| {
        let nothing = Ok((Targets::Hard, Vec::new()));
        teacher.map_or(nothing, |teacher| teacher.with_features(teacher_input(batch), &taps))
    };
    let n_targets: usize = batches.iter().map(Batch::n_targets).sum();
    let scale = 1.0 / n_targets.max(1) as f32;
    // How many rows are taught is known when all are.
    let mut known = Vec::new();
    let mut taught_scale = scale;
    if objective.guided {
        let mut taught = 0;
        for batch in batches {
            let answer = ask(batch)?;
            taught += guided::agreements(&answer.0, &batch.labels);
            known.push(answer);
        }
        taught_scale = 1.0 / taught.max(1) as f32;
    }
    let mut known = known.into_iter();
    let mut sums = [0.0; Terms::N];
    let mut compared = [0.0; FeatureKind::N];
    let mut tokens = 0;
    let mut balance = None;
    for batch in batches {
        let (targets, features) = match known.next() {
            Some(answer) => answer,
            None => ask(batch)?,
        };
        let n_heads = model.config().n_heads;
        let inside = Arc::new(FeatureLosses::new(&terms, projections, (batch, counts), n_heads, features));
        let probe: Arc<dyn Probe> = Arc::clone(&inside) as _;
        let mixture = Mixture { objective, taught_scale, ..Mixture::text(&batch.labels, scale) };
        let mut tape = Tape::training(model.params());
        let input = Input { ids: &batch.ids, positions: &batch.positions, documents: &batch.documents };
        let share = f64::from(scale) * batch.n_targets() as f64;
        let load = model.new_load(share);
        let by = Onlookers { load: load.as_ref(), probe: (!terms.is_empty()).then_some(&probe) };
        let hidden = model.watched(&mut tape, input, by);
        let mixture = mixture.with_targets(&targets);
        let (found, _) = tape.linear_loss_backward(&hidden, model.head(), targets.live(), &mixture, grads);
        sums.iter_mut().zip(&found).for_each(|(sum, term)| *sum += term);
        compared.iter_mut().zip(inside.values()).for_each(|(sum, value)| *sum += value);
        if let Some(load) = load {
            *balance.get_or_insert(0.0) += share * load.loss();
        }
        tokens += batch.ids.len() as u64;
    }
    let mut losses = Losses { features: compared, ..Losses::new(Terms::from_sums(&sums), n_targets, taught_scale) };
    losses.loss += terms.iter().map(|term| term.weight * compared[term.kind.index()]).sum::<f64>();
    if let (Some(balance), Some(experts)) = (balance, &model.config().options.experts) {
        losses.loss += experts.balance * balance;
    }
    Ok(StepResult { losses, balance, tokens })
}

impl Losses {
    /// Each number of two.
    pub(crate) fn zip(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            loss: f(self.loss, other.loss),
            lm: f(self.lm, other.lm),
            kd: f(self.kd, other.kd),
            kl: f(self.kl, other.kl),
            taught: f(self.taught, other.taught),
            features: std::array::from_fn(|i| f(self.features[i], other.features[i])),
        }
    }

    fn new(sums: Terms, n_targets: usize, taught_scale: f32) -> Self {
        let n = n_targets.max(1) as f64;
        Self {
            loss: sums.text / n + sums.teacher * f64::from(taught_scale),
            lm: sums.lm / n,
            kd: sums.kd / sums.taught.max(1.0),
            kl: sums.kl / n,
            taught: sums.taught / n,
            features: [0.0; FeatureKind::N],
        }
    }
}

/// What a teacher is asked about a batch.
pub fn teacher_input(batch: &Batch) -> TeacherInput<'_> {
    TeacherInput {
        ids: &batch.ids,
        labels: &batch.labels,
        positions: &batch.positions,
        documents: &batch.documents,
        routes: &batch.routes,
        sequences: &batch.sequences,
    }
}
