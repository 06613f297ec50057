//! A model that runs beside the student.

use tutelage_loss::{Targets, Teacher, TeacherError, TeacherInput};
use tutelage_model::{Decoder, Input};
use tutelage_tensor::Tape;
use tutelage_tensor::kernels::linear_loss::{TeacherLogits, TeacherMember};

/// Supplies the full distribution of a model.
#[derive(Debug)]
pub struct LiveTeacher {
    model: Decoder,
    vocabulary: usize,
}

impl LiveTeacher {
    /// A teacher whose first `vocabulary` rows of the output layer stand for the tokens that the student's stand for. What is
    /// beyond is padding, and gets no mass.
    pub fn new(model: Decoder, vocabulary: usize) -> Self {
        Self { vocabulary: vocabulary.min(model.config().vocab_size), model }
    }
}

impl Teacher for LiveTeacher {
    fn targets(&self, input: TeacherInput<'_>) -> Result<Targets<'_>, TeacherError> {
        let mut tape = Tape::inference(self.model.params());
        let rows = Input { ids: input.ids, positions: input.positions, documents: input.documents };
        let hidden = self.model.hidden(&mut tape, rows).value().clone();
        let (params, head, vocabulary) = (self.model.params(), self.model.head(), self.vocabulary);
        Ok(Targets::Soft(TeacherLogits::of(TeacherMember { weight: 1.0, hidden, params, head, vocabulary })))
    }
}
