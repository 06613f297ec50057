//! How to train.

use tutelage_loss::features::{FeatureKind, FeatureTerm};
use tutelage_loss::{Divergence, Objective, Schedule, StudentTemperature, Temperature};

/// How to train.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainConfig {
    /// Optimizer steps.
    pub steps: u64,
    /// Sequences of a step.
    pub batch_size: usize,
    /// Sequences that go through the model at once; the rest of the batch is accumulated.
    pub micro_batch_size: usize,
    /// Learning rate.
    pub lr: Schedule,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay of matrices.
    pub weight_decay: f64,
    /// Largest norm of the gradient; zero for no limit.
    pub grad_clip: f64,
    /// Seed of the data order.
    pub data_seed: u64,
    /// Steps between lines of the metrics.
    pub log_every: u64,
    /// Steps between held-out evaluations; zero for none.
    pub eval_every: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Checkpoints kept.
    pub keep_checkpoints: usize,
    /// Steps after which the model is kept for good, rising.
    pub snapshots: Vec<u64>,
    /// How a teacher enters the loss, if there is one.
    pub distillation: Option<Distillation>,
    /// Floating-point operations a token that are not the student's own: a live teacher's forward pass.
    pub teacher_flops: u64,
}

impl TrainConfig {
    /// How the student's own texts are learned from, if they are.
    pub fn on_policy(&self) -> Option<&OnPolicy> {
        self.distillation.as_ref()?.on_policy.as_ref()
    }
}

/// How a teacher's targets enter the loss: an [`Objective`] whose numbers change over the steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Distillation {
    /// Weights of text and teacher.
    pub weights: Weights,
    /// Which distance.
    pub divergence: Divergence,
    /// Temperature of the teacher's distribution.
    pub temperature: TemperatureSchedule,
    /// Temperature of the student's in the distance.
    pub student_temperature: StudentTemperature,
    /// Whether the distance is multiplied by the square of the teacher's temperature.
    pub temperature_squared: bool,
    /// Whether truncated targets have a class for the rest.
    pub tail: bool,
    /// Whether only rows are taught that the teacher gets right.
    pub guided: bool,
    /// What is compared inside of both models, each kind at most once.
    pub features: Vec<FeatureSchedule>,
    /// How the student's own texts are learned from, if they are.
    pub on_policy: Option<OnPolicy>,
}

/// Learning from the student's own continuations of texts (generalised knowledge distillation: 2306.13649, algorithm 1).
///
/// Departures: each sequence of a batch is drawn to be the student's own or not, where the paper draws for a batch; a sequence is
/// continued document by document, each from its first tokens and no further than it went.
#[derive(Debug, Clone, PartialEq)]
pub struct OnPolicy {
    /// Chance of a sequence to be the student's own.
    pub fraction: Schedule,
    /// Tokens of each document that are kept; documents without more are left out.
    pub prompt_tokens: usize,
    /// Temperature at which the student writes.
    pub temperature: f64,
}

/// A [`FeatureTerm`] over the steps.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSchedule {
    /// How models are compared.
    pub kind: FeatureKind,
    /// What its mean is multiplied by.
    pub weight: Schedule,
    /// Whether a mean square is relative to the teacher's.
    pub relative: bool,
    /// Layers of student and teacher.
    pub pairs: Vec<(usize, usize)>,
    /// The teacher's width, where the student's states are projected to it by a map that learns.
    pub projection: Option<usize>,
}

/// Weights of text and teacher over the steps.
#[derive(Debug, Clone, PartialEq)]
pub enum Weights {
    /// `1 - alpha` and `alpha`.
    Alpha(Schedule),
    /// Each its own.
    Separate {
        /// Of the cross-entropy with the text.
        text: Schedule,
        /// Of the distance to the teacher.
        teacher: Schedule,
    },
}

/// A [`Temperature`] over the steps.
#[derive(Debug, Clone, PartialEq)]
pub enum TemperatureSchedule {
    /// [`Temperature::Fixed`].
    Fixed(Schedule),
    /// [`Temperature::Deviation`].
    Deviation {
        /// Multiplies the deviation.
        factor: Schedule,
    },
    /// [`Temperature::Entropy`].
    Entropy {
        /// Where one entry has all the mass.
        certain: Schedule,
        /// Where all have the same.
        uncertain: Schedule,
    },
}

impl Distillation {
    /// `(1 - alpha) L_lm + alpha KL(t || q)`.
    pub fn mix(alpha: Schedule) -> Self {
        Self {
            weights: Weights::Alpha(alpha),
            divergence: Divergence::ForwardKl,
            temperature: TemperatureSchedule::Fixed(Schedule::constant(1.0)),
            student_temperature: StudentTemperature::Fixed(1.0),
            temperature_squared: false,
            tail: false,
            guided: false,
            features: Vec::new(),
            on_policy: None,
        }
    }

    /// Objectives of steps from the first to the last, a thousand or two if there are more: for what must hold of all.
    pub fn objectives(&self, steps: u64) -> impl Iterator<Item = Objective> + '_ {
        let every = (steps / 1000).max(1) as usize;
        (0..steps).step_by(every).chain(steps.checked_sub(1)).map(move |step| self.at(step, steps))
    }

    /// What is compared inside of both models in step `step` (from zero) of `steps`.
    pub fn features_at(&self, step: u64, steps: u64) -> Vec<FeatureTerm> {
        let term = |feature: &FeatureSchedule| FeatureTerm {
            kind: feature.kind,
            weight: feature.weight.at(step, steps),
            relative: feature.relative,
            pairs: feature.pairs.clone(),
        };
        self.features.iter().map(term).collect()
    }

    /// The objective of step `step` (from zero) of `steps`.
    pub fn at(&self, step: u64, steps: u64) -> Objective {
        let at = |schedule: &Schedule| schedule.at(step, steps);
        let (text, teacher) = match &self.weights {
            Weights::Alpha(alpha) => (1.0 - at(alpha), at(alpha)),
            Weights::Separate { text, teacher } => (at(text), at(teacher)),
        };
        Objective {
            text,
            teacher,
            divergence: self.divergence,
            temperature: match &self.temperature {
                TemperatureSchedule::Fixed(temperature) => Temperature::Fixed(at(temperature)),
                TemperatureSchedule::Deviation { factor } => Temperature::Deviation { factor: at(factor) },
                TemperatureSchedule::Entropy { certain, uncertain } => {
                    Temperature::Entropy { certain: at(certain), uncertain: at(uncertain) }
                }
            },
            student_temperature: self.student_temperature,
            temperature_squared: self.temperature_squared,
            tail: self.tail,
            guided: self.guided,
        }
    }
}
