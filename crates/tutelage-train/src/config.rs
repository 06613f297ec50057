//! How to train.

use tutelage_loss::{Divergence, Schedule};

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
    /// How a teacher enters the loss, if there is one.
    pub distillation: Option<Distillation>,
    /// Floating-point operations a token that are not the student's own: a live teacher's forward pass.
    pub teacher_flops: u64,
}

/// How a teacher's targets enter the loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Distillation {
    /// Weight of the teacher.
    pub alpha: Schedule,
    /// Temperature of its distribution.
    pub temperature: Schedule,
    /// Temperature of the student's in the distance.
    pub student_temperature: f64,
    /// Which distance.
    pub divergence: Divergence,
    /// Whether the distance is multiplied by the square of the teacher's temperature.
    pub temperature_squared: bool,
}

impl Distillation {
    /// Whether the loss needs no whole rows of logits, see [`Divergence::has_softmax_form`].
    pub fn has_softmax_form(&self) -> bool {
        self.divergence.has_softmax_form(self.student_temperature as f32)
    }
}
