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
    /// Elements from a row to the next.
    stride: usize,
    whole: usize,
    rest: Buffer<bf16>,
    k_padded: usize,
}

impl<'a> LeftRows<'a> {
    /// `m` rows of `k`.
    pub(crate) fn new(device: &Device, m: usize, k: usize, rows: &'a [bf16]) -> Self {
        Self::strided(device, m, (k, k), rows)
    }

    /// The same where a row begins `stride` elements after the one before.
    pub(crate) fn strided(device: &Device, m: usize, (k, stride): (usize, usize), rows: &'a [bf16]) -> Self {
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
        let (rows, first, stride) = match row < self.whole {
            true => (self.rows, row, self.stride),
            false => (&self.rest[..], row - self.whole, self.k_padded),
        };
        let rows = &rows[first * stride..][..(MAX_TILE_ROWS - 1) * stride + self.k_padded];
        let row_bytes = stride * size_of::<bf16>();
        LeftTile { pointer: rows.as_ptr(), row_bytes, half_bytes: PANEL * row_bytes, step_bytes: 64 }
    }
}

/// Rows copied to where a tile's are neighbours: worth it where they meet many columns.
pub(crate) struct LeftTiles {
    packed: Buffer<bf16>,
    k_padded: usize,
}

impl LeftTiles {
    /// `m` rows of `k`.
    pub(crate) fn pack(device: &Device, m: usize, k: usize, rows: &[bf16]) -> Self {
        assert_eq!(rows.len(), m * k, "left rows [{m}, {k}]");
        let k_padded = k.next_multiple_of(K_STEP);
        let mut packed = device.buffer::<bf16>(m.next_multiple_of(MAX_TILE_ROWS) * k_padded);
        device.for_each_block(&mut packed, PANEL * k_padded, |index, block| {
            for (row, r) in (index * PANEL..).zip(0..PANEL) {
                let from = if row < m { &rows[row * k..][..k] } else { &[] };
                for (tile, p) in block.chunks_exact_mut(PANEL * K_STEP).zip((0..).step_by(K_STEP)) {
                    let (to, from) = (&mut tile[r * K_STEP..][..K_STEP], &from[p.min(from.len())..]);
                    match from.first_chunk::<K_STEP>() {
                        Some(from) => to.copy_from_slice(from),
                        None => {
                            to[..from.len()].copy_from_slice(from);
                            to[from.len()..].fill(bf16::ZERO);
                        }
                    }
                }
            }
        });
        Self { packed, k_padded }
    }
}

impl Left for LeftTiles {
    fn tile(&self, row: usize) -> LeftTile {
        packed_tile(&self.packed, self.k_padded, row)
    }
}

/// Rows `row .. row + 32` of blocks of 16 rows, each a tile of 1 KiB after another along k.
fn packed_tile(packed: &[bf16], k_padded: usize, row: usize) -> LeftTile {
    LeftTile {
        pointer: packed[row * k_padded..][..MAX_TILE_ROWS * k_padded].as_ptr(),
        row_bytes: 64,
        half_bytes: PANEL * k_padded * size_of::<bf16>(),
        step_bytes: 1024,
    }
}

/// Columns of a matrix `[k, m]`, packed as left rows.
pub(super) struct LeftColumns {
    first: usize,
    packed: Buffer<bf16>,
    k_padded: usize,
}

impl LeftColumns {
    /// Packs columns `first .. first + width` of `values [k, stride]`.
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
        packed_tile(&self.packed, self.k_padded, row - self.first)
    }
}
