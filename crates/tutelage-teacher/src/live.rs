//! A model that runs beside the student.

use std::borrow::Borrow;
use std::ops::Range;
use std::sync::Arc;

use tutelage_loss::features::{Feature, Tap, TapSegments};
use tutelage_loss::{Targets, Teacher, TeacherError, TeacherInput};
use tutelage_model::{Decoder, Input, Onlookers, Probe};
use tutelage_tensor::kernels::linear_loss::{TeacherLogits, TeacherMember};
use tutelage_tensor::{Tape, Tensor};

use crate::taps::{Taps, joined};

/// Supplies the full distribution of a model, its own or borrowed.
#[derive(Debug)]
pub struct LiveTeacher<M = Decoder> {
    model: M,
    vocabulary: usize,
    /// Rows that go through the model at once, about.
    rows: usize,
}

impl<M: Borrow<Decoder>> LiveTeacher<M> {
    /// A teacher whose first `vocabulary` rows of the output layer stand for the tokens that the student's stand for. What is
    /// beyond is padding, and gets no mass.
    pub fn new(model: M, vocabulary: usize) -> Self {
        Self { vocabulary: vocabulary.min(model.borrow().config().vocab_size), model, rows: usize::MAX }
    }

    /// So many rows, or one document if it has more, go through the model at once: memory is bounded by that, whatever the
    /// student's batches are.
    pub fn in_batches(self, rows: usize) -> Self {
        Self { rows, ..self }
    }

    /// The model.
    pub fn model(&self) -> &Decoder {
        self.model.borrow()
    }

    /// Last hidden states of a batch, and what is found at taps.
    pub(crate) fn hidden(&self, input: TeacherInput<'_>, taps: &[Tap]) -> (Tensor, Vec<Feature>) {
        let (mut parts, mut found) = (Vec::new(), Vec::new());
        let mut rest = input.documents;
        while let Some(first) = rest.first() {
            let fits = rest.iter().take_while(|document| document.end - first.start <= self.rows).count().max(1);
            let (now, later) = rest.split_at(fits);
            let rows = first.start..now[fits - 1].end;
            let documents: Vec<Range<usize>> =
                now.iter().map(|document| document.start - rows.start..document.end - rows.start).collect();
            let (ids, positions) = (&input.ids[rows.clone()], &input.positions[rows.clone()]);
            let segments = || TapSegments::new(&input.labels[rows.clone()], &documents);
            let own = (!taps.is_empty()).then(|| Arc::new(Taps::new(taps, segments())));
            let probe = own.clone().map(|own| own as Arc<dyn Probe>);
            let by = Onlookers { probe: probe.as_ref(), load: None };
            let mut tape = Tape::inference(self.model().params());
            let hidden = self.model().watched(&mut tape, Input { ids, positions, documents: &documents }, by);
            parts.push(hidden.value().clone());
            found.extend(own.map(|own| (rows.start, own.take())));
            rest = later;
        }
        let device = self.model().params().device();
        let hidden = match parts.len() {
            1 => parts.swap_remove(0),
            _ => Tensor::stack(device, &parts),
        };
        (hidden, joined(device, taps.len(), found))
    }
}

impl<M: Borrow<Decoder> + Send + Sync> Teacher for LiveTeacher<M> {
    fn targets(&self, input: TeacherInput<'_>) -> Result<Targets<'_>, TeacherError> {
        Ok(self.with_features(input, &[])?.0)
    }

    fn with_features(
        &self,
        input: TeacherInput<'_>,
        taps: &[Tap],
    ) -> Result<(Targets<'_>, Vec<Feature>), TeacherError> {
        let (hidden, features) = self.hidden(input, taps);
        let (params, head, vocabulary) = (self.model().params(), self.model().head(), self.vocabulary);
        let logits = TeacherLogits::of(TeacherMember { weight: 1.0, hidden, params, head, vocabulary });
        Ok((Targets::Soft(logits), features))
    }
}
