//! The left operand of a product on tiles.

use half::bf16;

use super::amx::LeftTile;
use super::pack::{K_STEP, PANEL, pack_columns};
use super::tiled::MAX_TILE_ROWS;
use crate::{Buffer, Device};

/// Gives the left rows `row .. row + 32`, padded with zeros.
pub(crate) trait Left: Sync {
    /// The tile from `row` on, a multiple of 32 (of 32 after the first row, for packed columns).
    fn tile(&self, row: usize) -> LeftTile;
}

/// Rows that are read where they lie; the last, incomplete tile, and rows that are no whole steps, from a padded copy.
pub(crate) struct LeftRows<'a> {
    rows: &'a [bf16],
    stride: usize,
    whole: usize,
    rest: Buffer<bf16>,
    k_padded: usize,
}

impl<'a> LeftRows<'a> {
    /// `m` rows of `k`, `stride` apart.
    pub(crate) fn new(device: &Device, m: usize, k: usize, (rows, stride): (&'a [bf16], usize)) -> Self {
        let k_padded = k.next_multiple_of(K_STEP);
        let whole = if k == k_padded { m - m % MAX_TILE_ROWS } else { 0 };
        let mut rest = device.zeros::<bf16>((m - whole).next_multiple_of(MAX_TILE_ROWS) * k_padded);
        for (to, from) in rest.chunks_exact_mut(k_padded.max(1)).zip(rows[whole * stride..].chunks(stride.max(1))) {
            to[..k].copy_from_slice(&from[..k]);
        }
        Self { rows, stride, whole, rest, k_padded }
    }
}

impl Left for LeftRows<'_> {
    fn tile(&self, row: usize) -> LeftTile {
        let (rows, stride) = if row < self.whole {
            (&self.rows[row * self.stride..], self.stride)
        } else {
            (&self.rest[(row - self.whole) * self.k_padded..], self.k_padded)
        };
        let row_bytes = stride * size_of::<bf16>();
        assert!(rows.len() >= (MAX_TILE_ROWS - 1) * stride + self.k_padded, "left operand is too short");
        LeftTile { pointer: rows.as_ptr(), row_bytes, half_bytes: PANEL * row_bytes, step_bytes: 64 }
    }
}

/// Columns of a matrix `[k, m]`, packed as left rows.
pub(super) struct LeftColumns {
    first: usize,
    packed: Buffer<bf16>,
    k_padded: usize,
}

impl LeftColumns {
    /// Packs columns `first .. first + width` of rows that lie `stride` apart.
    pub(super) fn pack(
        device: &Device,
        (k, stride): (usize, usize),
        values: &[bf16],
        (first, width): (usize, usize),
    ) -> Self {
        let k_padded = k.next_multiple_of(K_STEP);
        let mut packed = device.buffer::<bf16>(width.next_multiple_of(MAX_TILE_ROWS) * k_padded);
        pack_columns(&mut packed, (k, stride), values, (first, width));
        Self { first, packed, k_padded }
    }
}

impl Left for LeftColumns {
    fn tile(&self, row: usize) -> LeftTile {
        LeftTile {
            pointer: self.packed[(row - self.first) * self.k_padded..][..MAX_TILE_ROWS * self.k_padded].as_ptr(),
            row_bytes: 64,
            half_bytes: PANEL * self.k_padded * size_of::<bf16>(),
            step_bytes: 1024,
        }
    }
}
