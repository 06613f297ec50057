//! A teacher some of whose weights learn beside the student (2409.12512).
//!
//! The teacher's weights stay as they are, and modules beside them learn: from the text, and from the student, so that what it says
//! bends towards what the student can reach. In each step the student learns first, from the teacher as it is; then the teacher, from the
//! student as that is then.
//!
//! Departures: the modules are LoRA adapters; weights of text and student are the recipe's to choose, as the paper's were not found.

use tutelage_loss::Teacher;
use tutelage_model::Decoder;

use crate::{Learner, StepBatches, StepOutcome, TrainConfig, TrainError};

/// Makes a model a teacher.
pub type AsTeacher<'a> = dyn for<'m> Fn(&'m Decoder) -> Box<dyn Teacher + 'm> + Sync + 'a;

/// A teacher that learns.
pub struct Online<'a> {
    /// Its model, with modules that learn.
    pub model: Decoder,
    /// How it learns: its own learning rate, and its weights of text and student.
    pub config: &'a TrainConfig,
    /// Makes teachers of both models.
    pub as_teacher: &'a AsTeacher<'a>,
}

/// The same in training.
pub(crate) struct Tutor<'a> {
    pub(crate) learner: Learner,
    config: &'a TrainConfig,
    as_teacher: &'a AsTeacher<'a>,
}

impl<'a> Tutor<'a> {
    pub(crate) fn new(online: Online<'a>) -> Self {
        let Online { model, config, as_teacher } = online;
        Self { learner: Learner::new(model, config), config, as_teacher }
    }

    /// Both learn; what the student's step and the teacher's did.
    pub(crate) fn step(
        &mut self,
        student: &mut Learner,
        batches: &StepBatches,
        config: &TrainConfig,
        step: u64,
    ) -> Result<(StepOutcome, StepOutcome), TrainError> {
        let teacher = (self.as_teacher)(self.learner.model());
        let of_student = student.step_on(batches, config, step, Some(&*teacher))?;
        drop(teacher);
        let student = (self.as_teacher)(student.model());
        let of_teacher = self.learner.step_on(batches, self.config, step, Some(&*student))?;
        Ok((of_student, of_teacher))
    }
}

/// All that learns.
pub(crate) struct Learners<'a> {
    pub(crate) student: Learner,
    pub(crate) tutor: Option<Tutor<'a>>,
}

impl Learners<'_> {
    /// What the student's step did, and that of a teacher that learns.
    pub(crate) fn step(
        &mut self,
        batches: &StepBatches,
        config: &TrainConfig,
        step: u64,
        teacher: Option<&dyn Teacher>,
    ) -> Result<(StepOutcome, Option<StepOutcome>), TrainError> {
        match &mut self.tutor {
            None => Ok((self.student.step_on(batches, config, step, teacher)?, None)),
            Some(tutor) => {
                let (of_student, of_tutor) = tutor.step(&mut self.student, batches, config, step)?;
                Ok((of_student, Some(of_tutor)))
            }
        }
    }
}
