//! The two products of a row's attention over a page, in registers of 16: what [`super::decode`] says in plain loops.

use std::arch::x86_64::*;
use std::ops::Range;

use super::PAGE;
use crate::simd::LANES;
use crate::{DType, Element};

/// Groups of lanes in a page.
const GROUPS: usize = PAGE / LANES;

/// 16 elements, widened.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn load<T: Element>(from: *const T) -> __m512 {
    // SAFETY: 16 elements are readable; `T` is one of two types, and a bf16 is the upper half of an f32.
    unsafe {
        match T::DTYPE {
            DType::F32 => _mm512_loadu_ps(from.cast()),
            DType::Bf16 => {
                let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
            }
        }
    }
}

/// Products of `N` queries, each of `d`, with the keys of a page, `[d][PAGE]`.
///
/// # Safety
/// The machine must have AVX-512.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn scores<T: Element, const N: usize>(queries: [&[f32]; N], keys: &[T]) -> [[f32; PAGE]; N] {
    let d = queries.first().map_or(0, |query| query.len());
    assert!(keys.len() >= d * PAGE && queries.iter().all(|query| query.len() == d));
    let mut sums = [[_mm512_setzero_ps(); GROUPS]; N];
    for c in 0..d {
        // SAFETY: `c < d`, and the lengths were checked.
        unsafe {
            let keys = keys.as_ptr().add(c * PAGE);
            let mut of_groups = [_mm512_setzero_ps(); GROUPS];
            for (group, key) in of_groups.iter_mut().enumerate() {
                *key = load(keys.add(group * LANES));
            }
            for n in 0..N {
                let query = _mm512_set1_ps(*queries[n].get_unchecked(c));
                for group in 0..GROUPS {
                    sums[n][group] = _mm512_fmadd_ps(query, of_groups[group], sums[n][group]);
                }
            }
        }
    }
    let mut out = [[0.0; PAGE]; N];
    for (to, sums) in out.iter_mut().zip(sums) {
        for (to, sum) in to.as_chunks_mut::<LANES>().0.iter_mut().zip(sums) {
            // SAFETY: 16 elements are writable.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), sum) };
        }
    }
    out
}

/// `sums = shrink * sums + weights values` for `P` times 16 columns from `column` on, of sums `[N][width]` and values
/// `[PAGE][width]`.
///
/// # Safety
/// The machine must have AVX-512.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn add_values<T: Element, const N: usize, const P: usize>(
    sums: &mut [f32],
    (column, width): (usize, usize),
    values: &[T],
    (weights, shrinks): (&[[f32; PAGE]; N], [f32; N]),
    seen: Range<usize>,
) {
    assert!(column + P * LANES <= width && sums.len() >= N * width);
    assert!(seen.end <= PAGE && values.len() >= seen.end * width);
    let mut block = [[_mm512_setzero_ps(); P]; N];
    // SAFETY: rows below N and `seen.end`, and columns below the width, which were checked.
    unsafe {
        for n in 0..N {
            for part in 0..P {
                let before = _mm512_loadu_ps(sums.as_ptr().add(n * width + column + part * LANES));
                block[n][part] = _mm512_mul_ps(before, _mm512_set1_ps(shrinks[n]));
            }
        }
        for t in seen {
            let mut of_parts = [_mm512_setzero_ps(); P];
            for (part, value) in of_parts.iter_mut().enumerate() {
                *value = load(values.as_ptr().add(t * width + column + part * LANES));
            }
            for n in 0..N {
                let weight = _mm512_set1_ps(*weights[n].get_unchecked(t));
                for part in 0..P {
                    block[n][part] = _mm512_fmadd_ps(weight, of_parts[part], block[n][part]);
                }
            }
        }
        for n in 0..N {
            for part in 0..P {
                _mm512_storeu_ps(sums.as_mut_ptr().add(n * width + column + part * LANES), block[n][part]);
            }
        }
    }
}
