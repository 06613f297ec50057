//! Tiles of up to 12 x 32 with `vdpbf16ps`: 24 accumulators, two right registers, left pairs broadcast.

use std::arch::x86_64::*;

use half::bf16;

use super::pack::PANEL;
use super::tiled::{LhsRows, TILE_COLUMNS, Tile};

/// Rows of a full tile.
pub(super) const ROWS: usize = 12;

/// Computes one tile over `pairs` pairs of `k`.
pub(super) fn tile(lhs: LhsRows, left: &[bf16], right: Option<&[bf16]>, pairs: usize, tile: &mut Tile) {
    assert!(left.len() >= pairs * PANEL * 2 && right.is_none_or(|r| r.len() >= pairs * PANEL * 2));
    // A missing right panel is computed from the left one and not stored.
    let (b0, b1) = (left.as_ptr(), right.unwrap_or(left).as_ptr());
    macro_rules! rows {
        ($($n:literal)*) => {
            match lhs.rows {
                // SAFETY: this kernel is chosen only when AVX-512-BF16 was found; the caller gives `rows` rows
                // of `2 * pairs` readable elements, and the panels' lengths were checked above.
                $($n => unsafe { rows::<$n>(lhs.pointer, lhs.stride, b0, b1, pairs, tile) },)*
                rows => unreachable!("a tile of {rows} rows"),
            }
        };
    }
    rows!(1 2 3 4 5 6 7 8 9 10 11 12);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn rows<const R: usize>(
    a: *const bf16,
    stride: usize,
    b0: *const bf16,
    b1: *const bf16,
    pairs: usize,
    tile: &mut Tile,
) {
    // SAFETY: see `tile`; all pointers below stay inside the ranges promised there, and the stores go to
    // rows below R <= 12 of a tile of 32 rows.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); 2]; R];
        for p in 0..pairs {
            let right0: __m512bh = std::mem::transmute(_mm512_loadu_si512(b0.add(p * 2 * PANEL).cast()));
            let right1: __m512bh = std::mem::transmute(_mm512_loadu_si512(b1.add(p * 2 * PANEL).cast()));
            for (r, sums) in sums.iter_mut().enumerate() {
                let pair = a.add(r * stride + 2 * p).cast::<i32>().read_unaligned();
                let left: __m512bh = std::mem::transmute(_mm512_set1_epi32(pair));
                sums[0] = _mm512_dpbf16_ps(sums[0], left, right0);
                sums[1] = _mm512_dpbf16_ps(sums[1], left, right1);
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            let out = tile.as_mut_ptr().add(r * TILE_COLUMNS);
            _mm512_storeu_ps(out, sums[0]);
            _mm512_storeu_ps(out.add(PANEL), sums[1]);
        }
    }
}

/// `rounds` times twelve products of registers; returns the floating-point operations.
///
/// # Safety
/// The machine must have AVX-512-BF16.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn spin(rounds: usize) -> f64 {
    // SAFETY: any bit pattern is a vector of bf16.
    let ones: __m512bh = unsafe { std::mem::transmute(_mm512_set1_epi32(std::hint::black_box(0x3f80_3f80))) };
    let mut sums = [_mm512_setzero_ps(); 12];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, ones, ones);
        }
    }
    std::hint::black_box(&sums);
    (rounds * 12 * 2 * 32) as f64
}
