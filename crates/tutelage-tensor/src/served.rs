//! How the weights of a model that is only served are kept.

use crate::matmul::Bits;
use crate::{Device, Params, Precision};

/// How a model's weights are kept, and what it is computed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// All in f32.
    F32,
    /// Weights and activations in bf16, sums in f32.
    Bf16,
    /// Matrices in 8 bits, in groups of 32; the rest as in bf16.
    Int8,
    /// Matrices in 4 bits, in groups of 32, but for logits in 8; the rest as in bf16.
    Int4,
}

impl Weights {
    /// Where weights of this kind go.
    pub fn params(self, device: &Device) -> Params {
        match self {
            Weights::F32 => Params::frozen(device, Precision::F32),
            Weights::Bf16 => Params::frozen(device, Precision::Bf16),
            Weights::Int8 => Params::quantized(device, Bits::Eight),
            Weights::Int4 => Params::quantized(device, Bits::Four),
        }
    }

    /// Bytes that a product reads for each weight of a matrix: of those within the model, and of the one that logits come
    /// from.
    pub fn bytes(self) -> [f64; 2] {
        match self {
            Weights::F32 => [4.0; 2],
            Weights::Bf16 => [2.0; 2],
            // A scale in two bytes, and an offset, for 32 weights.
            Weights::Int8 => [1.0625; 2],
            Weights::Int4 => [0.625, 1.0625],
        }
    }
}
