//! Columns of one head, rotated, rounded and packed.

use std::ops::Range;

use half::bf16;

use super::super::forward::Inputs;
use super::{KEYS, TILE};
use crate::matmul::{SmallProduct, Tiles, interleaved_tile, transposed_tile};
use crate::simd::{Instructions, LANES, SimdTask, load, prefetch, store};
use crate::{Buffer, Device, Element};

/// A head's columns are far apart in memory, so rows are asked for before they are read.
pub(super) const ROWS_AHEAD: usize = 12;

/// Rows of a document and columns of a head, both padded to whole tiles.
#[derive(Clone, Copy)]
pub(super) struct Padded {
    pub(super) len: usize,
    pub(super) lp: usize,
    pub(super) d: usize,
    pub(super) dp: usize,
}

impl Padded {
    pub(super) fn new(len: usize, d: usize) -> Self {
        Self { len, lp: len.next_multiple_of(32), d, dp: d.next_multiple_of(32) }
    }

    pub(super) fn size(self) -> usize {
        self.lp * self.dp
    }

    /// Bytes of a row of `[lp][dp]` bf16.
    pub(super) fn row_bytes(self) -> usize {
        2 * self.dp
    }

    /// Bytes between panels of an operand packed over the rows.
    pub(super) fn panel_bytes(self) -> usize {
        32 * self.lp
    }

    /// One head's columns `[lp][dp]`, rotated if asked, times `scale`.
    pub(super) fn load(
        self,
        device: &Device,
        inputs: &Inputs<'_, bf16>,
        rows: &Range<usize>,
        column: usize,
        rotation: Option<f32>,
        out: &mut [bf16],
    ) {
        let width = inputs.shape.qkv_width();
        for (t, out) in rows.clone().zip(out.chunks_exact_mut(self.dp)) {
            prefetch(inputs.qkv, (t + ROWS_AHEAD) * width + column, self.d);
            let from = &inputs.qkv[t * width + column..][..self.d];
            match rotation {
                Some(scale) => {
                    let (cos, sin) = inputs.rope.at(inputs.positions[t]);
                    device.isa().run(RotateRow::<_, false> { from, cos, sin, scale, out: &mut out[..self.d] });
                }
                None => out[..self.d].copy_from_slice(from),
            }
            out[self.d..].fill(bf16::ZERO);
        }
        out[self.len * self.dp..].fill(bf16::ZERO);
    }

    /// Products of 32 rows of a head with `width` rows from `start` on of an operand packed over columns; rows of KEYS.
    #[inline(always)]
    pub(super) fn scores(
        self,
        tiles: &Tiles,
        (rows, operand): (&[bf16], &[bf16]),
        (start, width): (usize, usize),
        out: &mut [f32],
    ) {
        for column in (0..width).step_by(32) {
            // SAFETY: 32 rows of each operand exist (padded), the output has 32 rows of KEYS.
            unsafe {
                tiles.product::<false>(SmallProduct {
                    a: rows.as_ptr(),
                    a_row_bytes: self.row_bytes(),
                    a_half_bytes: 16 * self.row_bytes(),
                    a_step_bytes: 64,
                    b: operand[(start + column) * self.dp..].as_ptr(),
                    b_panel_bytes: 32 * self.dp,
                    steps: self.dp / 32,
                    c: out[column..].as_mut_ptr(),
                    c_row_bytes: 4 * KEYS,
                });
            }
        }
    }

    /// Adds to 32 rows of sums those of an operand packed over rows, `width` from `start` on, weighted; rows of KEYS
    /// weights.
    #[inline(always)]
    pub(super) fn weighted_sums(
        self,
        tiles: &Tiles,
        (weights, operand): (&[bf16], &[bf16]),
        (start, width): (usize, usize),
        sums: &mut [f32],
    ) {
        for column in (0..self.dp).step_by(32) {
            // SAFETY: 32 rows of KEYS weights exist, of which `width` are set; `width` rows of the operand exist.
            unsafe {
                tiles.product::<true>(SmallProduct {
                    a: weights.as_ptr(),
                    a_row_bytes: 2 * KEYS,
                    a_half_bytes: 32 * KEYS,
                    a_step_bytes: 64,
                    b: operand[column * self.lp + start * 16..].as_ptr(),
                    b_panel_bytes: self.panel_bytes(),
                    steps: width / 32,
                    c: sums[column..].as_mut_ptr(),
                    c_row_bytes: 4 * self.dp,
                });
            }
        }
    }

    /// Packs `[lp][dp]` so that a product sums over columns: panels of 16 rows, a tile for each 32 columns.
    pub(super) fn pack_rows(self, device: &Device, from: &[bf16]) -> Buffer<bf16> {
        let mut out = device.buffer::<bf16>(self.size());
        for (i, tile) in out.chunks_exact_mut(TILE).enumerate() {
            let (panel, step) = (i / (self.dp / 32), i % (self.dp / 32));
            let source = &from[panel * 16 * self.dp + step * 32..];
            debug_assert!(source.len() >= 15 * self.dp + 32);
            // SAFETY: this module runs on AMX machines alone, which have AVX-512-BF16; 16 rows of 32 elements exist.
            unsafe { transposed_tile(source.as_ptr(), self.dp, tile.as_mut_ptr()) };
        }
        out
    }

    /// Packs `[lp][dp]` so that a product sums over rows: panels of 16 columns, a tile for each 32 rows.
    pub(super) fn pack_columns(self, device: &Device, from: &[bf16]) -> Buffer<bf16> {
        let mut out = device.buffer::<bf16>(self.size());
        for (i, tile) in out.chunks_exact_mut(TILE).enumerate() {
            let (panel, step) = (i / (self.lp / 32), i % (self.lp / 32));
            let source = &from[step * 32 * self.dp + panel * 16..];
            debug_assert!(source.len() >= 31 * self.dp + 16);
            // SAFETY: as above; 32 rows of 16 elements exist.
            unsafe { interleaved_tile(source.as_ptr(), self.dp, tile.as_mut_ptr()) };
        }
        out
    }
}

/// A head's row, its first columns rotated (back, if `BACK`) by the angles of its position, times `scale`.
pub(super) struct RotateRow<'a, S, const BACK: bool> {
    pub(super) from: &'a [S],
    pub(super) cos: &'a [f32],
    pub(super) sin: &'a [f32],
    pub(super) scale: f32,
    pub(super) out: &'a mut [bf16],
}
impl<S: Element, const BACK: bool> SimdTask for RotateRow<'_, S, BACK> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        let half = self.cos.len();
        let (from, rest) = self.from.split_at(2 * half);
        let (low, high) = from.split_at(half);
        let (out, out_rest) = self.out.split_at_mut(2 * half);
        let (out_low, out_high) = out.split_at_mut(half);
        for at in (0..half).step_by(LANES) {
            let (mut a, mut b) = (load(low, at), load(high, at));
            let (cos, sin) = (load(self.cos, at), load(self.sin, at));
            for i in 0..LANES {
                let (x, y) = (a[i], b[i]);
                let sin = if BACK { -sin[i] } else { sin[i] };
                a[i] = (x * cos[i] - y * sin) * self.scale;
                b[i] = (y * cos[i] + x * sin) * self.scale;
            }
            store::<I, bf16>(out_low, at, a);
            store::<I, bf16>(out_high, at, b);
        }
        for at in (0..rest.len()).step_by(LANES) {
            store::<I, bf16>(out_rest, at, load(rest, at).map(|x| x * self.scale));
        }
    }
}
