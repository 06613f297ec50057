//! Products of a few rows of both operands in registers: 16 sums for each, as [`super::rows_f32`] has them.

use std::arch::x86_64::*;

use super::rows_f32::{Sums, TILE};
use crate::simd::LANES;

/// Sums of each product, before they are folded.
pub(super) type Lanes = [[[f32; LANES]; TILE]; TILE];

/// `R` rows of the left operand with `C` of the right one.
///
/// # Safety
/// The machine must have AVX-512; `whole` is a multiple of 16.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn avx512<const R: usize, const C: usize>(task: &Sums<'_>, whole: usize, lanes: &mut Lanes) {
    assert!(task.a.len() >= R * task.k && task.b.len() >= C * task.k && whole <= task.k);
    let (a, b, k) = (task.a.as_ptr(), task.b.as_ptr(), task.k);
    let mut sums = [[_mm512_setzero_ps(); C]; R];
    for at in (0..whole).step_by(LANES) {
        // SAFETY: `at + 16 <= whole <= k`, and there are R and C rows of k elements.
        unsafe {
            let mut right = [_mm512_setzero_ps(); C];
            for c in 0..C {
                right[c] = _mm512_loadu_ps(b.add(c * k + at));
            }
            for r in 0..R {
                let left = _mm512_loadu_ps(a.add(r * k + at));
                for c in 0..C {
                    sums[r][c] = _mm512_fmadd_ps(left, right[c], sums[r][c]);
                }
            }
        }
    }
    for (to, sums) in lanes.iter_mut().zip(sums) {
        for (to, sum) in to.iter_mut().zip(sums) {
            // SAFETY: 16 elements are writable.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), sum) };
        }
    }
}

/// The same with AVX2; registers suffice for two rows of each.
///
/// # Safety
/// The machine must have AVX2 and FMA; `whole` is a multiple of 16.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2<const R: usize, const C: usize>(task: &Sums<'_>, whole: usize, lanes: &mut Lanes) {
    assert!(task.a.len() >= R * task.k && task.b.len() >= C * task.k && whole <= task.k);
    let (a, b, k) = (task.a.as_ptr(), task.b.as_ptr(), task.k);
    let mut sums = [[[_mm256_setzero_ps(); 2]; C]; R];
    for at in (0..whole).step_by(LANES) {
        for half in 0..2 {
            // SAFETY: `at + 16 <= whole <= k`, and there are R and C rows of k elements.
            unsafe {
                let mut right = [_mm256_setzero_ps(); C];
                for c in 0..C {
                    right[c] = _mm256_loadu_ps(b.add(c * k + at + 8 * half));
                }
                for r in 0..R {
                    let left = _mm256_loadu_ps(a.add(r * k + at + 8 * half));
                    for c in 0..C {
                        sums[r][c][half] = _mm256_fmadd_ps(left, right[c], sums[r][c][half]);
                    }
                }
            }
        }
    }
    for (to, sums) in lanes.iter_mut().zip(sums) {
        for (to, [low, high]) in to.iter_mut().zip(sums) {
            // SAFETY: 16 elements are writable.
            unsafe {
                _mm256_storeu_ps(to.as_mut_ptr(), low);
                _mm256_storeu_ps(to.as_mut_ptr().add(8), high);
            }
        }
    }
}
