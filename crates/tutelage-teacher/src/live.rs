//! A model that runs beside the student.

use tutelage_loss::{Targets, Teacher, TeacherError, TeacherInput};
use tutelage_model::{Decoder, Input};
use tutelage_tensor::Tape;
use tutelage_tensor::kernels::linear_loss::TeacherLogits;

/// Supplies the full distribution of a model.
#[derive(Debug)]
pub struct LiveTeacher {
    model: Decoder,
}

impl LiveTeacher {
    /// A teacher; its vocabulary must be the student's.
    pub fn new(model: Decoder) -> Self {
        Self { model }
    }
}

impl Teacher for LiveTeacher {
    fn targets(&self, input: TeacherInput<'_>) -> Result<Targets<'_>, TeacherError> {
        let mut tape = Tape::inference(self.model.params());
        let rows = Input { ids: input.ids, positions: input.positions, documents: input.documents };
        let hidden = self.model.hidden(&mut tape, rows).value().clone();
        Ok(Targets::Soft(TeacherLogits::one(hidden, self.model.params(), self.model.head())))
    }
}
