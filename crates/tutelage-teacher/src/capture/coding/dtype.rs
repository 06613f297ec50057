//! Types of stored numbers.

use half::{bf16, f16};
use serde::Deserialize;

/// A floating-point type, little-endian on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Dtype {
    Float16,
    BFloat16,
    Float32,
    Float64,
}

impl Dtype {
    pub(super) fn size(self) -> usize {
        match self {
            Dtype::Float16 | Dtype::BFloat16 => 2,
            Dtype::Float32 => 4,
            Dtype::Float64 => 8,
        }
    }

    /// As a number of this type is stored, so it is computed with.
    pub(super) fn round(self, x: f64) -> f64 {
        match self {
            Dtype::Float16 => f16::from_f64(x).to_f64(),
            Dtype::BFloat16 => bf16::from_f64(x).to_f64(),
            Dtype::Float32 => f64::from(x as f32),
            Dtype::Float64 => x,
        }
    }

    /// The numbers in these bytes.
    pub(super) fn read(self, bytes: &[u8]) -> impl Iterator<Item = f64> + '_ {
        bytes.chunks_exact(self.size()).map(move |bytes| {
            let mut wide = [0; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            let bits = u64::from_le_bytes(wide);
            match self {
                Dtype::Float16 => f16::from_bits(bits as u16).to_f64(),
                Dtype::BFloat16 => bf16::from_bits(bits as u16).to_f64(),
                Dtype::Float32 => f64::from(f32::from_bits(bits as u32)),
                Dtype::Float64 => f64::from_bits(bits),
            }
        })
    }
}
