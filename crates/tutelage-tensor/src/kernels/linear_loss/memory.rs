//! What the output layer and its loss take beside weights and gradients.

use crate::{DType, Isa};

/// What decides it.
#[derive(Debug, Clone, Copy)]
pub struct LossMemory {
    /// The device's instruction set.
    pub isa: Isa,
    /// Type of the hidden states.
    pub activation: DType,
    /// Rows of hidden states.
    pub t: usize,
    /// Rows of the output layer.
    pub vocabulary: usize,
    /// Their length, the width of the model.
    pub d_model: usize,
    /// Whether there is a live teacher.
    pub taught: bool,
    /// Whether the objective has softmax form, see [`super::LogitObjective::as_softmax`].
    pub softmax_form: bool,
}

impl LossMemory {
    /// Bytes of a forward pass, or of one with gradients.
    pub fn bytes(self, backward: bool) -> usize {
        #[cfg(target_arch = "x86_64")]
        if self.softmax_form && super::blocks::suits(self.isa, self.activation, self.activation) {
            return super::blocks::bytes(self, backward);
        }
        super::chunks::bytes(self, backward)
    }
}
