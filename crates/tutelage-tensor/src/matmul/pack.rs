//! The tile layout of the right operand.
//!
//! `[n, k]` becomes panels of 16 columns; inside a panel, for each *pair* of `k`, 16 columns of two
//! neighbouring elements: 64 bytes, one AVX-512 register or one row of an AMX tile. `k` is padded with
//! zeros to a multiple of 32 (16 pairs, a whole tile) and `n` to a multiple of 16.

use half::bf16;

#[cfg(target_arch = "x86_64")]
use super::pack_avx512;
use crate::device::DisjointOut;
use crate::{Buffer, Device, Element};

/// Columns of a panel.
pub(super) const PANEL: usize = 16;
/// Panels that a packing task handles side by side: 128 columns.
const GROUP: usize = 8;
/// Rows that a packing task handles.
const GROUP_ROWS: usize = 256;
/// `k` is padded to a multiple of this.
pub(super) const K_STEP: usize = 32;
/// Elements of a tile: a panel's columns by a step.
const TILE: usize = PANEL * K_STEP;

/// A bf16 right operand packed for `vdpbf16ps` and `tdpbf16ps`.
#[derive(Debug)]
pub struct PackedRhs {
    n: usize,
    k: usize,
    k_padded: usize,
    panels: Buffer<bf16>,
}

impl PackedRhs {
    /// Packs `values`, stored row-major as `[n, k]`: the product computes `lhs values^T`.
    pub fn from_rows_nk<S: Element>(device: &Device, n: usize, k: usize, values: &[S]) -> Self {
        assert_eq!(values.len(), n * k, "packing [{n}, {k}]");
        let mut packed = Self::unwritten(device, n, k);
        let (k_padded, fast) = (packed.k_padded, device.isa().has_bf16_products());
        device.for_each_block(&mut packed.panels, PANEL * k_padded, |index, panel| {
            let (first, width) = (index * PANEL, PANEL.min(n - index * PANEL));
            for (tile, p) in panel.chunks_exact_mut(TILE).zip((0..).step_by(K_STEP)) {
                tile_nk(fast, tile, (&values[first * k + p..], k), (width, K_STEP.min(k - p)));
            }
        });
        packed
    }

    /// Packs `values`, stored row-major as `[k, n]`: the product computes `lhs values`.
    pub fn from_rows_kn<S: Element>(device: &Device, n: usize, k: usize, values: &[S]) -> Self {
        assert_eq!(values.len(), n * k, "packing [{k}, {n}]");
        let mut packed = Self::unwritten(device, n, k);
        let (k_padded, fast) = (packed.k_padded, device.isa().has_bf16_products());
        let out = packed.out();
        // A task reads whole cache lines: a few panels side by side, some hundred rows of each.
        let (groups, n_panels) = (n.div_ceil(PANEL * GROUP), n.div_ceil(PANEL));
        device.for_each(groups * k_padded.div_ceil(GROUP_ROWS), |index| {
            let (group, rows) = (index % groups * GROUP, index / groups * GROUP_ROWS);
            for p in (rows..(rows + GROUP_ROWS).min(k_padded)).step_by(K_STEP) {
                for panel in group..(group + GROUP).min(n_panels) {
                    let (first, width) = (panel * PANEL, PANEL.min(n - panel * PANEL));
                    // SAFETY: no other task has this panel and these rows.
                    let tile = unsafe { out.tile(panel, p / K_STEP) };
                    tile_kn(fast, tile, (&values[p * n + first..], n), (width, K_STEP.min(k - p)));
                }
            }
        });
        packed
    }

    fn unwritten(device: &Device, n: usize, k: usize) -> Self {
        let k_padded = k.next_multiple_of(K_STEP);
        Self { n, k, k_padded, panels: device.buffer(n.next_multiple_of(PANEL) * k_padded) }
    }

    /// The tiles, for writing.
    pub(crate) fn out(&mut self) -> PackedOut<'_> {
        PackedOut { k_padded: self.k_padded, panels: DisjointOut::new(&mut self.panels) }
    }

    /// Columns of the operand.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Rows of the operand, the length of the sums.
    pub fn k(&self) -> usize {
        self.k
    }

    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    pub(super) fn k_padded(&self) -> usize {
        self.k_padded
    }

    /// Panel `index`: `k_padded / 2` rows of 16 pairs.
    pub(super) fn panel(&self, index: usize) -> &[bf16] {
        &self.panels[index * PANEL * self.k_padded..][..PANEL * self.k_padded]
    }
}

/// Tiles of a packed operand that different tasks write.
pub(crate) struct PackedOut<'a> {
    k_padded: usize,
    panels: DisjointOut<'a, bf16>,
}

impl PackedOut<'_> {
    /// The tile of panel `panel` and step `step` along k.
    ///
    /// # Safety
    /// No other task may have it.
    #[allow(clippy::mut_from_ref)]
    unsafe fn tile(&self, panel: usize, step: usize) -> &mut [bf16] {
        // SAFETY: the caller's promise.
        unsafe { self.panels.slice(panel * PANEL * self.k_padded + step * TILE, TILE) }
    }
}

/// Writes what a part of a weight `[n, k]` is in both orientations: rows `row .. row + 32` and columns `column ..` of
/// it, both multiples of 32; `part` begins there, its rows being `k` apart.
///
/// # Safety
/// No other task may have this part.
pub(crate) unsafe fn pack_part(
    fast: bool,
    [forward, backward]: [&PackedOut<'_>; 2],
    (part, k): (&[f32], usize),
    (row, column): (usize, usize),
    (rows, columns): (usize, usize),
) {
    for c in (0..columns).step_by(K_STEP) {
        let depth = K_STEP.min(columns - c);
        for r in (0..rows).step_by(PANEL) {
            // SAFETY: the caller's promise.
            let tile = unsafe { forward.tile((row + r) / PANEL, (column + c) / K_STEP) };
            tile_nk(fast, tile, (&part[r * k + c..], k), (PANEL.min(rows - r), depth));
        }
    }
    for c in (0..columns).step_by(PANEL) {
        // SAFETY: the caller's promise.
        let tile = unsafe { backward.tile((column + c) / PANEL, row / K_STEP) };
        tile_kn(fast, tile, (&part[c..], k), (PANEL.min(columns - c), rows));
    }
}

/// `width` rows of `depth` elements, `stride` apart, as a tile whose row `p` holds pair `p` of each row.
fn tile_nk<S: Element>(fast: bool, tile: &mut [bf16], (source, stride): (&[S], usize), (width, depth): (usize, usize)) {
    #[cfg(target_arch = "x86_64")]
    if fast && (width, depth) == (PANEL, K_STEP) {
        let source = &source[..(PANEL - 1) * stride + K_STEP];
        // SAFETY: the instruction set was checked; 16 rows of 32 elements, `stride` apart, were sliced.
        return unsafe { pack_avx512::transposed_tile(source.as_ptr(), stride, tile.as_mut_ptr()) };
    }
    let _ = fast;
    tile_by_elements(tile, (width, depth), |p, j| source[j * stride + p].to_f32());
}

/// `depth` rows of `width` elements, `stride` apart, as a tile whose row `p` holds rows `2 p` and `2 p + 1`.
fn tile_kn<S: Element>(fast: bool, tile: &mut [bf16], (source, stride): (&[S], usize), (width, depth): (usize, usize)) {
    #[cfg(target_arch = "x86_64")]
    if fast && (width, depth) == (PANEL, K_STEP) {
        let source = &source[..(K_STEP - 1) * stride + PANEL];
        // SAFETY: the instruction set was checked; 32 rows of 16 elements, `stride` apart, were sliced.
        return unsafe { pack_avx512::interleaved_tile(source.as_ptr(), stride, tile.as_mut_ptr()) };
    }
    let _ = fast;
    tile_by_elements(tile, (width, depth), |p, j| source[p * stride + j].to_f32());
}

/// The tile whose row `p` holds elements `2 p` and `2 p + 1` of `width` columns, and zeros where there are none.
fn tile_by_elements(tile: &mut [bf16], (width, depth): (usize, usize), element: impl Fn(usize, usize) -> f32) {
    tile.fill(bf16::ZERO);
    for p in 0..depth {
        for j in 0..width {
            tile[(p / 2 * PANEL + j) * 2 + p % 2] = Element::from_f32(element(p, j));
        }
    }
}

/// Packs columns `first .. first + width` of `values`, stored row-major as `[k, m]`, as left
/// rows for `tdpbf16ps`: blocks of 16 rows; in a block, for each 32 of `k`, 16 rows of 32 elements, 1 KiB. `tiles`
/// holds a multiple of 32 rows; what `width` and `k` do not fill is zeroed.
#[cfg(target_arch = "x86_64")]
pub(super) fn pack_columns(
    tiles: &mut [bf16],
    (k, stride): (usize, usize),
    values: &[bf16],
    (first, width): (usize, usize),
) {
    let k_padded = k.next_multiple_of(K_STEP);
    // All blocks of some rows before the next rows, so that cache lines are read whole.
    for p in (0..k_padded).step_by(K_STEP) {
        for (i, block) in tiles.chunks_exact_mut(PANEL * k_padded).enumerate() {
            let columns = PANEL.min(width.saturating_sub(i * PANEL));
            let first = first + i * PANEL;
            let tile = &mut block[p * PANEL..][..K_STEP * PANEL];
            if columns == PANEL && p + K_STEP <= k {
                let source = &values[p * stride + first..][..(K_STEP - 1) * stride + PANEL];
                // SAFETY: called for AMX devices alone; 32 rows of 16 elements, `stride` apart, were just sliced.
                unsafe { pack_avx512::left_tile(source.as_ptr(), stride, tile.as_mut_ptr()) };
                continue;
            }
            tile.fill(bf16::ZERO);
            for r in p..(p + K_STEP).min(k) {
                for c in 0..columns {
                    tile[c * K_STEP + r - p] = values[r * stride + first + c];
                }
            }
        }
    }
}
