//! Weights in 8 or 4 bits, in groups of 32 along `k`, for serving: less to read for each token.
//!
//! - 8 bits: `w = scale * (code - 128)`, codes from 1 to 255; 8.5 bits a weight.
//! - 4 bits: `w = scale * code + offset`, codes from 0 to 15; 5 bits a weight.
//!
//! Scales and offsets are bf16. Where the machine multiplies bytes, activations are quantised to 8 bits in groups too (as
//! llama.cpp does); elsewhere some columns are widened into a buffer that stays in the cache, and multiplied in f32. A row of
//! a product does not depend on the rows beside it.

#[cfg(target_arch = "x86_64")]
mod activations;
mod codes;
mod product;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vnni;

pub(super) use product::matmul;

use half::bf16;

use super::pack::{K_STEP, PANEL};
use crate::Device;
use codes::{Group, encode};

/// Weights of a group: a tile's step along `k`.
pub(super) const GROUP: usize = K_STEP;

/// Bits of a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bits {
    /// 4.5 bits and an offset's half.
    Four,
    /// 8.5 bits.
    Eight,
}

impl Bits {
    /// Bytes of so many codes.
    fn bytes(self, codes: usize) -> usize {
        match self {
            Bits::Four => codes / 2,
            Bits::Eight => codes,
        }
    }
}

/// The order of codes, by what multiplies them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Tiles of 16 columns, four neighbours of `k` together, for products of bytes.
    Tiles,
    /// A row of `k` after another.
    Rows,
}

impl Layout {
    fn of(device: &Device) -> Self {
        #[cfg(target_arch = "x86_64")]
        if device.isa() <= crate::Isa::Avx512Bf16 && vnni::is_available() {
            return Layout::Tiles;
        }
        let _ = device;
        Layout::Rows
    }
}

/// A quantised right operand `[n, k]`, for `lhs values^T`.
#[derive(Debug)]
pub struct QuantizedRhs {
    n: usize,
    k: usize,
    bits: Bits,
    layout: Layout,
    /// Blocks of codes: a tile of 512, or a group of 32.
    codes: Vec<u8>,
    /// A scale for each group, in the order of the codes: 16 columns of a tile, or one.
    scales: Vec<bf16>,
    /// The same, for 4 bits.
    offsets: Vec<bf16>,
}

impl QuantizedRhs {
    /// Quantises `values`, row-major `[n, k]`.
    pub fn from_rows_nk(device: &Device, (n, k): (usize, usize), values: &[f32], bits: Bits) -> Self {
        assert_eq!(values.len(), n * k, "quantising [{n}, {k}]");
        let layout = Layout::of(device);
        let groups = k.div_ceil(GROUP);
        // Columns that lie together.
        let width = if layout == Layout::Tiles { PANEL } else { 1 };
        let blocks = n.div_ceil(width) * groups;
        let mut out = Self {
            n,
            k,
            bits,
            layout,
            codes: vec![0; blocks * bits.bytes(width * GROUP)],
            scales: vec![bf16::ZERO; blocks * width],
            offsets: vec![bf16::ZERO; if bits == Bits::Four { blocks * width } else { 0 }],
        };
        // A task has some columns, whole.
        let mut encoded: Vec<Vec<Group>> = vec![Vec::new(); n.div_ceil(width)];
        device.for_each_block(&mut encoded, 1, |at, own| {
            let columns = (at * width..(at + 1) * width).map(|column| match column < n {
                true => &values[column * k..][..k],
                false => &[],
            });
            let columns: Vec<&[f32]> = columns.collect();
            let of_group = |group: usize| {
                let from = group * GROUP;
                columns.iter().map(move |row| encode(row.get(from..).map_or(&[], |r| &r[..GROUP.min(r.len())]), bits))
            };
            own[0] = (0..groups).flat_map(of_group).collect();
        });
        let block = bits.bytes(width * GROUP);
        let mut codes = vec![0; width * GROUP];
        for (at, groups_of_block) in encoded.iter().flat_map(|own| own.chunks_exact(width)).enumerate() {
            out.write_block(at, &mut codes, groups_of_block, block);
        }
        out
    }

    fn write_block(&mut self, at: usize, codes: &mut [u8], groups: &[Group], bytes: usize) {
        for (column, group) in groups.iter().enumerate() {
            self.scales[at * groups.len() + column] = group.scale;
            if self.bits == Bits::Four {
                self.offsets[at * groups.len() + column] = group.offset;
            }
            for (p, &code) in group.codes.iter().enumerate() {
                codes[position(groups.len(), column, p)] = code;
            }
        }
        let to = &mut self.codes[at * bytes..][..bytes];
        match self.bits {
            Bits::Eight => to.copy_from_slice(codes),
            Bits::Four => {
                let (low, high) = codes.split_at(bytes);
                to.iter_mut().zip(low).zip(high).for_each(|((to, low), high)| *to = low | high << 4);
            }
        }
    }

    /// Columns.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Length of the sums.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Bytes in memory.
    pub fn n_bytes(&self) -> usize {
        self.codes.len() + 2 * (self.scales.len() + self.offsets.len())
    }

    fn groups(&self) -> usize {
        self.k.div_ceil(GROUP)
    }

    /// What a block's codes stand for, in plain loops: the meaning of the layout.
    #[cfg(test)]
    fn widen_block(&self, block: usize, to: &mut [f32]) {
        let (width, n) = (to.len() / GROUP, to.len());
        let bytes = &self.codes[block * self.bits.bytes(n)..][..self.bits.bytes(n)];
        for column in 0..width {
            let scale = self.scales[block * width + column].to_f32();
            let offset = self.offsets.get(block * width + column).map_or(0.0, |offset| offset.to_f32());
            for p in 0..GROUP {
                let at = position(width, column, p);
                let code = match self.bits {
                    Bits::Eight => f32::from(bytes[at]) - 128.0,
                    Bits::Four if at < n / 2 => f32::from(bytes[at] & 15),
                    Bits::Four => f32::from(bytes[at - n / 2] >> 4),
                };
                to[at] = scale.mul_add(code, offset);
            }
        }
    }
}

/// Where a block has element `p` of a column: four neighbours of `k` lie together.
fn position(width: usize, column: usize, p: usize) -> usize {
    (p / 4 * width + column) * 4 + p % 4
}
