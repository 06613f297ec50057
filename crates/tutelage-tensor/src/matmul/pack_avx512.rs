//! Packing with AVX-512: pairs are interleaved, and 16 x 16 blocks of pairs transposed, in registers.

use std::arch::x86_64::*;

use half::bf16;

use crate::{DType, Element};

/// A 16 x 16 block of pairs: one tile.
type Pairs = [__m512i; 16];

/// Rows `0 .. 16` of `[n, k]` from `source`, 16 pairs each, as the 16 x 16 tile whose row `p` holds pair `p` of
/// each source row: the right operand's tile for `lhs values^T`.
///
/// # Safety
/// AVX-512-BF16; 16 rows of 32 readable elements, `stride` apart; 512 writable elements at `out`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(crate) unsafe fn transposed_tile<S: Element>(source: *const S, stride: usize, out: *mut bf16) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut pairs: Pairs = [_mm512_setzero_si512(); 16];
        for (r, pairs) in pairs.iter_mut().enumerate() {
            *pairs = load32(source.add(r * stride));
        }
        store_tile(&transpose(pairs), out);
    }
}

/// Rows `2 p` and `2 p + 1` of `[k, n]`, 16 columns, as row `p` of a tile, `p` in `0 .. 16`: the right operand's
/// tile for `lhs values`.
///
/// # Safety
/// AVX-512-BF16; 32 rows of 16 readable elements, `stride` apart; 512 writable elements at `out`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(crate) unsafe fn interleaved_tile<S: Element>(source: *const S, stride: usize, out: *mut bf16) {
    // SAFETY: the caller's promise.
    unsafe { store_tile(&interleave(source, stride), out) }
}

/// The left operand's tile of `values^T`: row `c` holds column `c` of 32 rows of `[k, n]`.
///
/// # Safety
/// As [`interleaved_tile`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(crate) unsafe fn left_tile<S: Element>(source: *const S, stride: usize, out: *mut bf16) {
    // SAFETY: the caller's promise.
    unsafe { store_tile(&transpose(interleave(source, stride)), out) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn interleave<S: Element>(source: *const S, stride: usize) -> Pairs {
    // SAFETY: the caller's promise.
    unsafe {
        let mut out: Pairs = [_mm512_setzero_si512(); 16];
        for (p, out) in out.iter_mut().enumerate() {
            let even = _mm512_cvtepu16_epi32(load16(source.add(2 * p * stride)));
            let odd = _mm512_cvtepu16_epi32(load16(source.add((2 * p + 1) * stride)));
            *out = _mm512_or_si512(even, _mm512_slli_epi32::<16>(odd));
        }
        out
    }
}

/// 16 elements as bf16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn load16<S: Element>(source: *const S) -> __m256i {
    // SAFETY: 16 elements are readable; `S` is one of two types.
    unsafe {
        match S::DTYPE {
            DType::Bf16 => _mm256_loadu_si256(source.cast()),
            DType::F32 => std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(_mm512_loadu_ps(source.cast()))),
        }
    }
}

/// 32 elements as bf16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn load32<S: Element>(source: *const S) -> __m512i {
    // SAFETY: 32 elements are readable.
    unsafe {
        match S::DTYPE {
            DType::Bf16 => _mm512_loadu_si512(source.cast()),
            DType::F32 => {
                let low = _mm512_loadu_ps(source.cast());
                let high = _mm512_loadu_ps(source.cast::<f32>().add(16));
                std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low))
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn store_tile(tile: &Pairs, out: *mut bf16) {
    for (r, row) in tile.iter().enumerate() {
        // SAFETY: 16 rows of 32 elements are writable.
        unsafe { _mm512_storeu_si512(out.add(r * 32).cast(), *row) };
    }
}

/// Transposes 16 rows of 16 32-bit lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn transpose(r: Pairs) -> Pairs {
    let mut a = r;
    for i in 0..8 {
        a[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    let mut b = a;
    for i in 0..4 {
        b[4 * i] = _mm512_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 1] = _mm512_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 2] = _mm512_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
        b[4 * i + 3] = _mm512_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
    }
    // `b[4 g + j]` holds, in its four 128-bit lanes l, column 4 l + j of rows 4 g .. 4 g + 4.
    let mut out = b;
    for j in 0..4 {
        let low01 = _mm512_shuffle_i32x4::<0x88>(b[j], b[4 + j]);
        let high01 = _mm512_shuffle_i32x4::<0xdd>(b[j], b[4 + j]);
        let low23 = _mm512_shuffle_i32x4::<0x88>(b[8 + j], b[12 + j]);
        let high23 = _mm512_shuffle_i32x4::<0xdd>(b[8 + j], b[12 + j]);
        out[j] = _mm512_shuffle_i32x4::<0x88>(low01, low23);
        out[8 + j] = _mm512_shuffle_i32x4::<0xdd>(low01, low23);
        out[4 + j] = _mm512_shuffle_i32x4::<0x88>(high01, high23);
        out[12 + j] = _mm512_shuffle_i32x4::<0xdd>(high01, high23);
    }
    out
}
