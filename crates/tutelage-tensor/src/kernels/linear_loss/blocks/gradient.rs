//! Gradients of logits, from the tiles of the logits and the sums of their rows.

use std::arch::x86_64::*;
use std::f32::consts::LOG2_E;

use half::bf16;

use super::picks::Passing;
use super::{MISSING, columns};
use crate::device::DisjointOut;
use crate::matmul::epilogue::{At, Epilogue, rounded};
use crate::simd::{LANES, PairSums, SoftmaxPair, exp2, prefetch_lines};

/// What is subtracted from a row's exponents, so that their powers of two are weighted probabilities.
#[derive(Clone, Copy)]
pub(super) struct Shifts {
    a: f32,
    b: f32,
}

impl Shifts {
    /// Of a row that is not learned from: all its powers are zero.
    pub(super) const NOTHING: Self = Self { a: -MISSING, b: -MISSING };

    pub(super) fn new(sums: PairSums, pair: SoftmaxPair) -> Self {
        // `w exp(x - lse) = 2^(x log2 e - (lse log2 e - log2 w))`
        let shift = |lse: f32, weight: f32| match weight {
            0.0 => -MISSING,
            _ => (f64::from(lse) * f64::from(LOG2_E) - f64::from(weight).log2()) as f32,
        };
        Self { a: shift(sums.lse_a, pair.weight_a), b: shift(sums.lse_b, pair.weight_b) }
    }
}

/// Takes logits, and if `TAUGHT` a teacher's beside them; writes gradients.
pub(super) struct Gradient<'a, const TAUGHT: bool> {
    /// `[rows, columns(width)]`; columns beyond the width are zero.
    pub(super) out: DisjointOut<'a, bf16>,
    pub(super) width: usize,
    pub(super) shifts: &'a [Shifts],
    pub(super) pair: SoftmaxPair,
    pub(super) picks: Passing<'a>,
}

impl<const TAUGHT: bool> Gradient<'_, TAUGHT> {
    fn place(&self, row: usize, column: usize) -> usize {
        row * columns(self.width) + column
    }
}

impl<const TAUGHT: bool> Epilogue for Gradient<'_, TAUGHT> {
    #[inline(always)]
    unsafe fn row(&self, at: At, a: [__m512; 2]) {
        // SAFETY: the caller's promise.
        unsafe {
            let shifts = *self.shifts.get_unchecked(at.row);
            let mut gradient = weighted(a, self.pair.scale_a, shifts.a);
            if TAUGHT {
                let b = [_mm512_load_ps(at.beside), _mm512_load_ps(at.beside.add(LANES))];
                let [p0, p1] = weighted(b, self.pair.scale_b, shifts.b);
                gradient = [_mm512_sub_ps(gradient[0], p0), _mm512_sub_ps(gradient[1], p1)];
            }
            if self.picks.may_pick(at) {
                let mut lanes: [f32; 32] = std::mem::transmute(gradient);
                self.picks.subtract(at, &mut lanes);
                gradient = std::mem::transmute::<[f32; 32], [__m512; 2]>(lanes);
            }
            let masks = at.masks();
            let gradient =
                rounded(_mm512_maskz_mov_ps(masks[0], gradient[0]), _mm512_maskz_mov_ps(masks[1], gradient[1]));
            _mm512_storeu_si512(self.out.pointer().add(self.place(at.row, at.column)).cast(), gradient);
        }
    }

    #[inline(always)]
    fn fetch(&self, row: usize, column: usize) {
        prefetch_lines(self.out.pointer().wrapping_add(self.place(row, column)), 1);
    }
}

#[inline(always)]
unsafe fn weighted([x0, x1]: [__m512; 2], scale: f32, shift: f32) -> [__m512; 2] {
    // SAFETY: the caller's promise: AVX-512.
    unsafe {
        let (scale, shift) = (_mm512_set1_ps(scale * LOG2_E), _mm512_set1_ps(shift));
        [exp2(_mm512_fmsub_ps(x0, scale, shift)), exp2(_mm512_fmsub_ps(x1, scale, shift))]
    }
}
