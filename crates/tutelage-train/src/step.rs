//! The gradient of one step.

use std::sync::Arc;

use tutelage_data::{Batch, IGNORED};
use tutelage_loss::features::{Feature, FeatureKind, FeatureTerm, Tap};
use tutelage_loss::{Divergence, Mixture, Objective, Targets, Teacher, TeacherInput, Terms, guided};
use tutelage_model::{Decoder, Input, Onlookers, Probe};
use tutelage_tensor::{Grads, Tape};

use crate::features::{Counts, FeatureLosses, Projections, taps};
use crate::losses::Sums;
use crate::{Losses, TrainConfig, TrainError};

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

/// What is the same for all micro-batches of a step.
struct Step<'a> {
    student: Student<'a>,
    teacher: Option<&'a dyn Teacher>,
    objective: Objective,
    features: Vec<FeatureTerm>,
    taps: Vec<Tap>,
    counts: Counts,
    /// One over the learned rows of the step.
    scale: f32,
    /// One over those that are taught.
    taught_scale: f32,
}

/// What a teacher says of a micro-batch.
type Answer<'t> = (Targets<'t>, Vec<Feature>);

/// What a micro-batch adds.
struct Found {
    terms: Terms,
    features: [f64; FeatureKind::N],
    balance: Option<f64>,
}

/// Adds the gradient of the mean loss over micro-batches, of text and of what the student wrote. The mean is over all learned tokens of
/// the step, whichever micro-batch they fall into.
pub(crate) fn accumulate(
    student: Student<'_>,
    (text, own): (&[Batch], &[Batch]),
    config: &TrainConfig,
    step: u64,
    teacher: Option<&dyn Teacher>,
    grads: &mut Grads,
) -> Result<StepResult, TrainError> {
    const { assert!(IGNORED < 0, "objectives skip negative labels") };
    let batches = || text.iter().chain(own);
    let distillation = config.distillation.as_ref();
    let features = distillation.map_or(Vec::new(), |d| d.features_at(step, config.steps));
    let scale = 1.0 / batches().map(Batch::n_targets).sum::<usize>().max(1) as f32;
    let mut step = Step {
        student,
        teacher,
        objective: distillation.map_or(Objective::TEXT, |d| d.at(step, config.steps)),
        taps: taps(&features),
        counts: if features.is_empty() { Counts::default() } else { Counts::of(batches()) },
        features,
        scale,
        taught_scale: scale,
    };
    // How many rows are taught is known when all are.
    let mut known = Vec::new();
    if step.objective.guided {
        let mut taught = 0;
        for batch in batches() {
            let answer = step.ask(batch)?;
            taught += guided::agreements(&answer.0, &batch.labels);
            known.push(answer);
        }
        step.taught_scale = 1.0 / taught.max(1) as f32;
    } else if step.objective.divergence.is_of_own_tokens() {
        step.taught_scale = 1.0 / own.iter().map(Batch::n_targets).sum::<usize>().max(1) as f32;
    }
    let mut known = known.into_iter();
    let mut sums = [Sums::default(); 2];
    let mut compared = [0.0; FeatureKind::N];
    let mut balance = None;
    for (i, batch) in batches().enumerate() {
        let answer = match known.next() {
            Some(answer) => answer,
            None => step.ask(batch)?,
        };
        let is_own = i >= text.len();
        let found = step.run(batch, is_own, answer, grads);
        sums[usize::from(is_own)].add(batch.n_targets(), found.terms);
        compared.iter_mut().zip(found.features).for_each(|(sum, value)| *sum += value);
        if let Some(found) = found.balance {
            *balance.get_or_insert(0.0) += found;
        }
    }
    let [of_text, of_own] = sums;
    let mut losses = Losses { features: compared, ..Losses::new(of_text, of_own, step.taught_scale) };
    losses.loss += step.features.iter().map(|term| term.weight * compared[term.kind.index()]).sum::<f64>();
    if let (Some(balance), Some(experts)) = (balance, &student.model.config().options.experts) {
        losses.loss += experts.balance * balance;
    }
    let tokens = batches().map(|batch| batch.ids.len() as u64).sum();
    Ok(StepResult { losses, balance, tokens })
}

impl<'a> Step<'a> {
    fn ask(&self, batch: &Batch) -> Result<Answer<'a>, TrainError> {
        match self.teacher {
            Some(teacher) => Ok(teacher.with_features(teacher_input(batch), &self.taps)?),
            None => Ok((Targets::Hard, Vec::new())),
        }
    }

    fn run(&self, batch: &Batch, is_own: bool, (targets, features): Answer<'_>, grads: &mut Grads) -> Found {
        let Student { model, projections } = self.student;
        let n_heads = model.config().n_heads;
        let inside = || FeatureLosses::new(&self.features, projections, (batch, self.counts), n_heads, features);
        let inside = (!self.features.is_empty()).then(|| Arc::new(inside()));
        let probe = inside.clone().map(|inside| inside as Arc<dyn Probe>);
        let share = f64::from(self.scale) * batch.n_targets() as f64;
        let load = model.new_load(share);
        let by = Onlookers { load: load.as_ref(), probe: probe.as_ref() };
        let mut tape = Tape::training(model.params());
        let input = Input { ids: &batch.ids, positions: &batch.positions, documents: &batch.documents };
        let hidden = model.watched(&mut tape, input, by);
        let objective = self.objective_of(is_own);
        let mixture =
            Mixture { objective, taught_scale: self.taught_scale, ..Mixture::text(&batch.labels, self.scale) };
        let mixture = mixture.with_targets(&targets);
        let (sums, _) = tape.linear_loss_backward(&hidden, model.head(), targets.live(), &mixture, grads);
        let terms = match self.is_taught(is_own) {
            true => Terms::from_sums(&sums),
            // A teacher that says nothing of text is at a distance from it all the same; only `kl` is told.
            false => Terms { teacher: 0.0, kd: 0.0, taught: 0.0, ..Terms::from_sums(&sums) },
        };
        Found {
            terms,
            features: inside.map_or([0.0; FeatureKind::N], |inside| inside.values()),
            balance: load.map(|load| share * load.loss()),
        }
    }

    /// Whether the teacher has a say in these rows.
    fn is_taught(&self, is_own: bool) -> bool {
        is_own || !self.objective.divergence.is_of_own_tokens()
    }

    /// What the student wrote is no text to be learned by heart; and where only that is taught, text is text alone.
    fn objective_of(&self, is_own: bool) -> Objective {
        match (is_own, self.is_taught(is_own)) {
            (true, _) => Objective { text: 0.0, ..self.objective },
            (false, true) => self.objective,
            (false, false) => Objective { teacher: 0.0, divergence: Divergence::ForwardKl, ..self.objective },
        }
    }
}

/// Cross-entropy with the text, nats a token.
pub(crate) fn text_loss(model: &Decoder, batches: &[Batch]) -> f64 {
    let (mut nats, mut rows) = (0.0, 0);
    for batch in batches {
        let mut tape = Tape::inference(model.params());
        let input = Input { ids: &batch.ids, positions: &batch.positions, documents: &batch.documents };
        let hidden = model.hidden(&mut tape, input);
        let sums = tape.linear_loss(&hidden, model.head(), None, &Mixture::text(&batch.labels, 1.0));
        nats += Terms::from_sums(&sums).lm;
        rows += batch.n_targets();
    }
    nats / rows.max(1) as f64
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
