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
    whole: usize,
    rest: Buffer<bf16>,
    k_padded: usize,
}

impl<'a> LeftRows<'a> {
    /// `m` rows of `k`.
    pub(crate) fn new(device: &Device, m: usize, k: usize, rows: &'a [bf16]) -> Self {
        let k_padded = k.next_multiple_of(K_STEP);
        let whole = if k == k_padded { m - m % MAX_TILE_ROWS } else { 0 };
        let mut rest = device.zeros::<bf16>((m - whole).next_multiple_of(MAX_TILE_ROWS) * k_padded);
        for (to, from) in rest.chunks_exact_mut(k_padded.max(1)).zip(rows[whole * k..].chunks(k.max(1))) {
            to[..k].copy_from_slice(from);
        }
        Self { rows, whole, rest, k_padded }
    }
}

impl Left for LeftRows<'_> {
    fn tile(&self, row: usize) -> LeftTile {
        // Whole rows are whole steps, so that either lie `k_padded` apart.
        let (rows, first) = if row < self.whole { (self.rows, row) } else { (&self.rest[..], row - self.whole) };
        let rows = &rows[first * self.k_padded..][..MAX_TILE_ROWS * self.k_padded];
        let row_bytes = self.k_padded * size_of::<bf16>();
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
    /// Packs columns `first .. first + width` of `values [k, m]`.
    pub(super) fn pack(
        device: &Device,
        (k, m): (usize, usize),
        values: &[bf16],
        (first, width): (usize, usize),
    ) -> Self {
        let k_padded = k.next_multiple_of(K_STEP);
        let mut packed = device.buffer::<bf16>(width.next_multiple_of(MAX_TILE_ROWS) * k_padded);
        pack_columns(&mut packed, (k, m), values, (first, width));
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
