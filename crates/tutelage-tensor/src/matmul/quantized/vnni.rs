//! Codes of weights with codes of activations: `vpdpbusd` sums 4 products of bytes in each of 16 columns. Sums within a
//! group are exact; groups are added in f32, in their order.

use std::arch::x86_64::*;

use half::bf16;

use super::activations::Activations;
use super::{Bits, GROUP};
use crate::matmul::pack::PANEL;

/// Rows that are summed together.
pub(super) const ROWS: usize = 8;
/// Quads of `k` in a group.
const QUADS: usize = GROUP / 4;
/// Bytes of a quad of all columns.
const QUAD_BYTES: usize = 4 * PANEL;

/// Whether this machine has the instruction.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
}

/// A panel of 16 columns, whole.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a> {
    pub(super) bits: Bits,
    /// For each group a tile of codes.
    pub(super) codes: &'a [u8],
    /// For each group 16 scales, and offsets where there are 4 bits.
    pub(super) scales: &'a [bf16],
    pub(super) offsets: &'a [bf16],
}

/// Sums of rows `first .. first + rows` with a panel's columns.
pub(super) fn rows(panel: Panel<'_>, x: &Activations, first: usize, rows: usize) -> [[f32; PANEL]; ROWS] {
    let Panel { bits, codes, scales, offsets } = panel;
    let groups = x.groups;
    assert!(codes.len() >= groups * bits.bytes(PANEL * GROUP) && scales.len() >= groups * PANEL);
    assert!(bits == Bits::Eight || offsets.len() >= groups * PANEL);
    assert!(rows <= ROWS && x.scales.len() >= (first + rows) * groups);
    let mut out = [[0.0; PANEL]; ROWS];
    macro_rules! of {
        ($($n:literal)*) => {
            match (rows, bits) {
                // SAFETY: quantised operands have this layout only where the instruction was found; the lengths of
                // codes, scales and offsets were checked, and `x` has codes and sums for each of its scales.
                $(($n, Bits::Eight) => unsafe { sums::<$n, false>(panel, x, first, &mut out) },
                // SAFETY: as above.
                ($n, Bits::Four) => unsafe { sums::<$n, true>(panel, x, first, &mut out) },)*
                _ => unreachable!("{rows} rows"),
            }
        };
    }
    of!(1 2 3 4 5 6 7 8);
    out
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn widened(from: *const bf16) -> __m512 {
    // SAFETY: 16 elements are readable; a bf16 is the upper half of an f32.
    unsafe {
        let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn sums<const R: usize, const FOUR: bool>(
    panel: Panel<'_>,
    x: &Activations,
    first: usize,
    out: &mut [[f32; PANEL]; ROWS],
) {
    let groups = x.groups;
    let bytes = panel.bits.bytes(PANEL * GROUP);
    let mut totals = [_mm512_setzero_ps(); R];
    let nibble = _mm512_set1_epi8(15);
    for group in 0..groups {
        // SAFETY: see `rows`: every group of the panel and of the rows is there.
        unsafe {
            let tile = panel.codes.as_ptr().add(group * bytes);
            let mut weights = [_mm512_setzero_si512(); QUADS];
            if FOUR {
                for quad in 0..QUADS / 2 {
                    let both = _mm512_loadu_si512(tile.add(quad * QUAD_BYTES).cast());
                    weights[quad] = _mm512_and_si512(both, nibble);
                    weights[quad + QUADS / 2] = _mm512_and_si512(_mm512_srli_epi16::<4>(both), nibble);
                }
            } else {
                for quad in 0..QUADS {
                    weights[quad] = _mm512_loadu_si512(tile.add(quad * QUAD_BYTES).cast());
                }
            }
            let scale = widened(panel.scales.as_ptr().add(group * PANEL));
            for r in 0..R {
                let at = (first + r) * groups + group;
                let codes = x.codes.as_ptr().add(at * GROUP).cast::<i32>();
                let sum = *x.sums.get_unchecked(at);
                // 8 bits are kept 128 higher than they are.
                let mut even = if FOUR { _mm512_setzero_si512() } else { _mm512_set1_epi32(-128 * sum) };
                let mut odd = _mm512_setzero_si512();
                for quad in (0..QUADS).step_by(2) {
                    let (a, b) = (codes.add(quad).read_unaligned(), codes.add(quad + 1).read_unaligned());
                    even = _mm512_dpbusd_epi32(even, weights[quad], _mm512_set1_epi32(a));
                    odd = _mm512_dpbusd_epi32(odd, weights[quad + 1], _mm512_set1_epi32(b));
                }
                let dot = _mm512_cvtepi32_ps(_mm512_add_epi32(even, odd));
                let by_x = _mm512_set1_ps(*x.scales.get_unchecked(at));
                totals[r] = if FOUR {
                    let offset = widened(panel.offsets.as_ptr().add(group * PANEL));
                    let whole = _mm512_fmadd_ps(scale, dot, _mm512_mul_ps(offset, _mm512_set1_ps(sum as f32)));
                    _mm512_fmadd_ps(by_x, whole, totals[r])
                } else {
                    _mm512_fmadd_ps(_mm512_mul_ps(scale, by_x), dot, totals[r])
                };
            }
        }
    }
    for (to, total) in out.iter_mut().zip(totals) {
        // SAFETY: 16 elements are writable.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), total) };
    }
}
