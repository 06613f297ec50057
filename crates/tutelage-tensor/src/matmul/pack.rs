//! The tile layout of the right operand.
//!
//! `[n, k]` becomes panels of 16 columns; inside a panel, for each *pair* of `k`, 16 columns of two
//! neighbouring elements: 64 bytes, one AVX-512 register or one row of an AMX tile. `k` is padded with
//! zeros to a multiple of 32 (16 pairs, a whole tile) and `n` to a multiple of 16.

use half::bf16;

use crate::simd::SimdTask;
use crate::{Buffer, Device, Element};

/// Columns of a panel.
pub(super) const PANEL: usize = 16;
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
        Self::pack(device, n, k, |panel, first, width| {
            for j in 0..width {
                let row = &values[(first + j) * k..][..k];
                let (pairs, odd) = row.as_chunks::<2>();
                for (p, pair) in pairs.iter().enumerate() {
                    let at = (p * PANEL + j) * 2;
                    panel[at] = Element::from_f32(pair[0].to_f32());
                    panel[at + 1] = Element::from_f32(pair[1].to_f32());
                }
                if let [last] = odd {
                    panel[(pairs.len() * PANEL + j) * 2] = Element::from_f32(last.to_f32());
                }
            }
        })
    }

    /// Packs `values`, stored row-major as `[k, n]`: the product computes `lhs values`.
    pub fn from_rows_kn<S: Element>(device: &Device, n: usize, k: usize, values: &[S]) -> Self {
        assert_eq!(values.len(), n * k, "packing [{k}, {n}]");
        let isa = device.isa();
        Self::pack(device, n, k, |panel, first, width| {
            for p in (0..k).step_by(2) {
                let even = &values[p * n + first..][..width];
                // The row after an odd last one is zeros, which are there already.
                let odd = if p + 1 < k { &values[(p + 1) * n + first..][..width] } else { &[] };
                let out = &mut panel[p * PANEL..][..2 * width];
                isa.run(Interleave { even, odd, out });
            }
        })
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

/// `out = even[0], odd[0], even[1], odd[1], ...`
struct Interleave<'a, S> {
    even: &'a [S],
    odd: &'a [S],
    out: &'a mut [bf16],
}
impl<S: Element> SimdTask for Interleave<'_, S> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let (pairs, _) = self.out.as_chunks_mut::<2>();
        if self.odd.is_empty() {
            for (pair, even) in pairs.iter_mut().zip(self.even) {
                pair[0] = Element::from_f32(even.to_f32());
            }
            return;
        }
        for ((pair, even), odd) in pairs.iter_mut().zip(self.even).zip(self.odd) {
            *pair = [Element::from_f32(even.to_f32()), Element::from_f32(odd.to_f32())];
        }
    }
}
