//! A live model whose weights are in memory only while it reads.

use std::sync::Arc;

use tutelage_loss::features::{Feature, Tap};
use tutelage_loss::{Targets, Teacher, TeacherError, TeacherInput};
use tutelage_model::{ModelError, StoredModel};
use tutelage_tensor::kernels::attention::kl::{AttentionMaps, TeacherMaps};
use tutelage_tensor::kernels::linear_loss::{TeacherLogits, TeacherMember};
use tutelage_tensor::{Device, ParamId, Params, Precision, Tensor};

use crate::LiveTeacher;

/// Supplies the full distribution of a stored model. Its weights are read from the files for each batch and given back before the
/// student reads it; the output layer alone stays. So of several such teachers memory holds the largest, not all.
pub struct OffloadedTeacher {
    stored: StoredModel,
    device: Device,
    precision: Precision,
    /// The output layer, which logits are multiplied out with beside the student's.
    params: Params,
    head: ParamId,
    vocabulary: usize,
    rows: usize,
}

impl OffloadedTeacher {
    /// A teacher whose first `vocabulary` rows of the output layer stand for the tokens that the student's stand for, and that has so
    /// many rows at once, about, go through it.
    ///
    /// # Errors
    /// When the output layer cannot be read.
    pub fn new(
        stored: StoredModel,
        device: &Device,
        precision: Precision,
        (vocabulary, rows): (usize, usize),
    ) -> Result<Self, ModelError> {
        let (params, head) = stored.output_layer(Params::frozen(device, precision))?;
        let vocabulary = vocabulary.min(stored.config().vocab_size);
        Ok(Self { stored, device: device.clone(), precision, params, head, vocabulary, rows })
    }
}

impl Teacher for OffloadedTeacher {
    fn targets(&self, input: TeacherInput<'_>) -> Result<Targets<'_>, TeacherError> {
        Ok(self.with_features(input, &[])?.0)
    }

    fn with_features(
        &self,
        input: TeacherInput<'_>,
        taps: &[Tap],
    ) -> Result<(Targets<'_>, Vec<Feature>), TeacherError> {
        // What the device keeps for the next step would keep the weights' memory too.
        let own = self.device.with_own_memory();
        let model = self.stored.decoder(Params::frozen(&own, self.precision));
        let model = model.map_err(|error| TeacherError { is_request: error.is_request(), source: Box::new(error) })?;
        let (hidden, features) = LiveTeacher::new(&model, self.vocabulary).in_batches(self.rows).hidden(input, taps);
        let hidden = Tensor::stack(&self.device, &[hidden]);
        let features = features.into_iter().map(|feature| kept(&self.device, feature)).collect();
        let (params, head, vocabulary) = (&self.params, self.head, self.vocabulary);
        let logits = TeacherLogits::of(TeacherMember { weight: 1.0, hidden, params, head, vocabulary });
        Ok((Targets::Soft(logits), features))
    }
}

/// A copy that does not hold on to the memory of the weights.
fn kept(device: &Device, feature: Feature) -> Feature {
    let copy = |tensor: &Tensor| Tensor::stack(device, std::slice::from_ref(tensor));
    match feature {
        Feature::Rows(rows) => Feature::Rows(copy(&rows)),
        Feature::Maps(maps) => {
            let part = |(first, maps): &(usize, AttentionMaps)| {
                (*first, AttentionMaps { qkv: copy(&maps.qkv), ..maps.clone() })
            };
            Feature::Maps(Arc::new(TeacherMaps { parts: maps.parts.iter().map(part).collect() }))
        }
    }
}
