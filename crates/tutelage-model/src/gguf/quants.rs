//! Values of ggml's types. Layouts: ggml's `ggml-common.h`; arithmetic in f32, in the order of its reference
//! `dequantize_row_*` functions.

use half::{bf16, f16};

use super::k_quants;

/// How a tensor's values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quant {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
}

/// Values of a block of the older types.
const BLOCK: usize = 32;
/// Values of a block of the K-quants.
pub(super) const SUPER_BLOCK: usize = 256;

/// All types with ggml's numbers.
const NUMBERS: [(u32, Quant); 13] = [
    (0, Quant::F32),
    (1, Quant::F16),
    (2, Quant::Q4_0),
    (3, Quant::Q4_1),
    (6, Quant::Q5_0),
    (7, Quant::Q5_1),
    (8, Quant::Q8_0),
    (10, Quant::Q2K),
    (11, Quant::Q3K),
    (12, Quant::Q4K),
    (13, Quant::Q5K),
    (14, Quant::Q6K),
    (30, Quant::Bf16),
];

impl Quant {
    pub(super) fn from_number(number: u32) -> Option<Self> {
        NUMBERS.iter().find(|(known, _)| *known == number).map(|(_, kind)| *kind)
    }

    /// ggml's number; every type has one.
    pub(super) fn number(self) -> u32 {
        NUMBERS.iter().find(|(_, kind)| *kind == self).map_or(u32::MAX, |(number, _)| *number)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q2K => "Q2_K",
            Self::Q3K => "Q3_K",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
        }
    }

    /// Values and bytes of a block.
    fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q4_0 => (BLOCK, 2 + 16),
            Self::Q4_1 => (BLOCK, 4 + 16),
            Self::Q5_0 => (BLOCK, 2 + 4 + 16),
            Self::Q5_1 => (BLOCK, 4 + 4 + 16),
            Self::Q8_0 => (BLOCK, 2 + 32),
            Self::Q2K => (SUPER_BLOCK, 84),
            Self::Q3K => (SUPER_BLOCK, 110),
            Self::Q4K => (SUPER_BLOCK, 144),
            Self::Q5K => (SUPER_BLOCK, 176),
            Self::Q6K => (SUPER_BLOCK, 210),
        }
    }

    /// Bytes of a tensor, if its rows are whole blocks and the count is no absurdity.
    pub(super) fn bytes(self, shape: &[usize]) -> Option<u64> {
        let (values, bytes) = self.block();
        let n = shape.iter().try_fold(1u64, |n, &size| n.checked_mul(size as u64))?;
        let row = shape.last().copied().unwrap_or(1);
        row.is_multiple_of(values).then(|| (n / values as u64).checked_mul(bytes as u64)).flatten()
    }

    /// The values of whole blocks.
    pub(super) fn values(self, bytes: &[u8]) -> Vec<f32> {
        let (n, size) = self.block();
        let mut out = vec![0.0; bytes.len() / size * n];
        for (block, out) in bytes.chunks_exact(size).zip(out.chunks_exact_mut(n)) {
            match self {
                Self::F32 => out[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]),
                Self::F16 => out[0] = half_at(block, 0),
                Self::Bf16 => out[0] = bf16::from_le_bytes([block[0], block[1]]).to_f32(),
                Self::Q4_0 => nibbles(&block[2..], out, |q, _| (f32::from(q) - 8.0) * half_at(block, 0)),
                Self::Q4_1 => nibbles(&block[4..], out, |q, _| f32::from(q) * half_at(block, 0) + half_at(block, 2)),
                Self::Q5_0 => {
                    nibbles(&block[6..], out, |q, i| (f32::from(q | fifth(&block[2..6], i)) - 16.0) * half_at(block, 0))
                }
                Self::Q5_1 => nibbles(&block[8..], out, |q, i| {
                    f32::from(q | fifth(&block[4..8], i)) * half_at(block, 0) + half_at(block, 2)
                }),
                Self::Q8_0 => {
                    for (out, &q) in out.iter_mut().zip(&block[2..]) {
                        *out = f32::from(q.cast_signed()) * half_at(block, 0);
                    }
                }
                Self::Q2K => k_quants::q2(block, out),
                Self::Q3K => k_quants::q3(block, out),
                Self::Q4K => k_quants::q4(block, out),
                Self::Q5K => k_quants::q5(block, out),
                Self::Q6K => k_quants::q6(block, out),
            }
        }
        out
    }
}

/// The f16 at a byte.
pub(super) fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// 32 values of 4 bits: low halves of 16 bytes first, then the high ones.
fn nibbles(bytes: &[u8], out: &mut [f32], value: impl Fn(u8, usize) -> f32) {
    for (i, &byte) in bytes[..16].iter().enumerate() {
        out[i] = value(byte & 15, i);
        out[i + 16] = value(byte >> 4, i + 16);
    }
}

/// The fifth bit of value `i`, in its place.
fn fifth(bits: &[u8], i: usize) -> u8 {
    (bits[i / 8] >> (i % 8) & 1) << 4
}
