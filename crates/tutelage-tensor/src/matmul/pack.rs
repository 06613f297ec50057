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
        let whole_k = if device.isa().has_bf16_products() { k - k % K_STEP } else { 0 };
        Self::pack(device, n, k, |panel, first, width| {
            let source = &values[first * k..];
            let done = if width == PANEL { whole_k } else { 0 };
            #[cfg(target_arch = "x86_64")]
            for p in (0..done).step_by(K_STEP) {
                let out = panel[p * PANEL..][..K_STEP * PANEL].as_mut_ptr();
                // SAFETY: the instruction set was checked; 16 rows of `k >= p + 32` elements begin at `source`.
                unsafe { pack_avx512::transposed_tile(source[p..].as_ptr(), k, out) };
            }
            for j in 0..width {
                for p in done..k {
                    panel[(p / 2 * PANEL + j) * 2 + p % 2] = Element::from_f32(source[j * k + p].to_f32());
                }
            }
        })
    }

    /// Packs `values`, stored row-major as `[k, n]`: the product computes `lhs values`.
    pub fn from_rows_kn<S: Element>(device: &Device, n: usize, k: usize, values: &[S]) -> Self {
        assert_eq!(values.len(), n * k, "packing [{k}, {n}]");
        let k_padded = k.next_multiple_of(K_STEP);
        let mut panels = device.buffer::<bf16>(n.next_multiple_of(PANEL) * k_padded);
        let fast = device.isa().has_bf16_products();
        let out = DisjointOut::new(&mut panels);
        // A task reads whole cache lines: a few panels side by side, some hundred rows of each.
        let (groups, n_panels) = (n.div_ceil(PANEL * GROUP), n.div_ceil(PANEL));
        device.for_each(groups * k_padded.div_ceil(GROUP_ROWS), |index| {
            let (group, rows) = (index % groups * GROUP, index / groups * GROUP_ROWS);
            for p in (rows..(rows + GROUP_ROWS).min(k_padded)).step_by(K_STEP) {
                for panel in group..(group + GROUP).min(n_panels) {
                    // SAFETY: no other task has this panel and these rows.
                    let tile = unsafe { out.slice(panel * PANEL * k_padded + p * PANEL, K_STEP * PANEL) };
                    let (first, width) = (panel * PANEL, PANEL.min(n - panel * PANEL));
                    if fast && width == PANEL && p + K_STEP <= k {
                        let source = &values[p * n + first..][..(K_STEP - 1) * n + PANEL];
                        // SAFETY: the instruction set was checked; 32 rows of 16 elements, `n` apart, were sliced.
                        #[cfg(target_arch = "x86_64")]
                        unsafe {
                            pack_avx512::interleaved_tile(source.as_ptr(), n, tile.as_mut_ptr());
                        }
                        #[cfg(not(target_arch = "x86_64"))]
                        let _ = source;
                        continue;
                    }
                    tile.fill(bf16::ZERO);
                    for r in p..(p + K_STEP).min(k) {
                        for j in 0..width {
                            let value = values[r * n + first + j].to_f32();
                            tile[((r - p) / 2 * PANEL + j) * 2 + r % 2] = Element::from_f32(value);
                        }
                    }
                }
            }
        });
        Self { n, k, k_padded, panels }
    }

    fn pack(device: &Device, n: usize, k: usize, fill: impl Fn(&mut [bf16], usize, usize) + Sync + Send) -> Self {
        let k_padded = k.next_multiple_of(K_STEP);
        let mut panels = device.buffer::<bf16>(n.next_multiple_of(PANEL) * k_padded);
        device.for_each_block(&mut panels, PANEL * k_padded, |index, panel| {
            let first = index * PANEL;
            let width = PANEL.min(n - first);
            if width < PANEL {
                panel.fill(bf16::ZERO);
            } else {
                panel[(k / 2) * PANEL * 2..].fill(bf16::ZERO);
            }
            fill(panel, first, width);
        });
        Self { n, k, k_padded, panels }
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

/// Packs columns `first .. first + width` of `values`, stored row-major as `[k, m]` with rows `stride` apart, as left
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
