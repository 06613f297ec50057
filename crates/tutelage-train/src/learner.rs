//! One optimizer step: accumulate, clip, update.

use tutelage_data::Batch;
use tutelage_loss::Teacher;
use tutelage_model::Decoder;
use tutelage_tensor::Grads;

use crate::features::Projections;
use crate::on_policy::StepBatches;
use crate::optimizer::{Moments, grad_norm, update};
use crate::step::{Student, accumulate, text_loss};
use crate::{Losses, TrainConfig, TrainError};

/// A model in training, with its gradient and AdamW's moments.
#[derive(Debug)]
pub struct Learner {
    pub(crate) model: Decoder,
    pub(crate) moments: Moments,
    projections: Projections,
    grads: Grads,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepOutcome {
    /// Means over the learned tokens.
    pub losses: Losses,
    /// Balance loss of experts, where there are any.
    pub balance: Option<f64>,
    /// Tokens that went through the model.
    pub tokens: u64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Whether loss and norm were numbers, so that the model was updated.
    pub updated: bool,
}

impl Learner {
    /// A model with moments at zero, to be trained like this.
    pub fn new(mut model: Decoder, config: &TrainConfig) -> Self {
        let projections = Projections::add(&mut model, config);
        let (moments, grads) = (Moments::zeros(model.params()), Grads::zeros(model.params()));
        Self { model, moments, projections, grads }
    }

    /// The model.
    pub fn model(&self) -> &Decoder {
        &self.model
    }

    /// The model, training over.
    pub fn into_model(mut self) -> Decoder {
        self.projections.remove(&mut self.model);
        self.model
    }

    /// Step `step` (from zero) on `batches`, which go through the model one after another and count as one.
    ///
    /// A loss or gradient that is not finite leaves the model as it was.
    ///
    /// # Errors
    /// When the teacher fails.
    pub fn step(
        &mut self,
        batches: &[Batch],
        config: &TrainConfig,
        step: u64,
        teacher: Option<&dyn Teacher>,
    ) -> Result<StepOutcome, TrainError> {
        self.run((batches, &[]), config, step, teacher)
    }

    /// The same where some batches may be the student's own texts.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn step_on(
        &mut self,
        batches: &StepBatches,
        config: &TrainConfig,
        step: u64,
        teacher: Option<&dyn Teacher>,
    ) -> Result<StepOutcome, TrainError> {
        self.run((&batches.text, &batches.own), config, step, teacher)
    }

    fn run(
        &mut self,
        batches: (&[Batch], &[Batch]),
        config: &TrainConfig,
        step: u64,
        teacher: Option<&dyn Teacher>,
    ) -> Result<StepOutcome, TrainError> {
        let device = self.model.params().device().clone();
        device.enter(|| {
            let student = Student { model: &self.model, projections: &self.projections };
            let result = accumulate(student, batches, config, step, teacher, &mut self.grads)?;
            self.grads.settle();
            let grad_norm = grad_norm(self.model.params(), &self.grads);
            let updated = result.losses.loss.is_finite() && grad_norm.is_finite();
            if updated {
                update(&mut self.model, &self.grads, &mut self.moments, config, step, grad_norm);
            }
            self.grads.clear();
            if let Some(rewarded) = teacher.and_then(Teacher::rewarded).filter(|_| updated) {
                rewarded.reward(result.losses.lm - text_loss(&self.model, batches.0));
            }
            let (losses, balance, tokens) = (result.losses, result.balance, result.tokens);
            Ok(StepOutcome { losses, balance, tokens, grad_norm, updated })
        })
    }
}
