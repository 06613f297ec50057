//! What becomes of the rows of a finished tile.
//!
//! Implementations are inlined into the block loop, whose instructions (AVX-512 with bf16) they may use.

use std::arch::x86_64::*;

use half::bf16;

use super::pack::PANEL;
use crate::device::DisjointOut;
use crate::simd::prefetch_lines;

/// Where a tile's row lies in the output.
#[derive(Clone, Copy)]
pub(crate) struct At {
    pub(crate) row: usize,
    /// First of 32 columns, a multiple of 32.
    pub(crate) column: usize,
    /// How many of them exist.
    pub(crate) columns: u32,
    /// The sums of what was multiplied beside, 32 of f32 on a cache line; anything where nothing was.
    pub(crate) beside: *const f32,
}

impl At {
    /// Which of the columns exist.
    #[inline(always)]
    pub(crate) fn mask(self) -> __mmask32 {
        ((1u64 << self.columns) - 1) as __mmask32
    }

    /// Of either half.
    #[inline(always)]
    pub(crate) fn masks(self) -> [__mmask16; 2] {
        let mask = self.mask();
        [mask as __mmask16, (mask >> PANEL) as __mmask16]
    }
}

/// Takes the sums of a product.
pub(crate) trait Epilogue: Sync {
    /// Takes one row of a finished tile.
    ///
    /// # Safety
    /// AVX-512 with bf16; the row and the columns lie in the output that this was made for, and no other task has them.
    unsafe fn row(&self, at: At, sums: [__m512; 2]);

    /// Asks for the lines that [`Epilogue::row`] will read or write, while the sums are being computed: a store that
    /// waits for its line holds up the loads behind it.
    fn fetch(&self, row: usize, column: usize);

    /// Runs after a block.
    fn finish(&self) {}
}

/// Writes f32.
pub(crate) struct WriteF32<'a> {
    pub(crate) out: DisjointOut<'a, f32>,
    pub(crate) n: usize,
}
impl Epilogue for WriteF32<'_> {
    #[inline(always)]
    unsafe fn row(&self, at: At, sums: [__m512; 2]) {
        // SAFETY: the caller's promise.
        unsafe {
            let out = self.out.pointer().add(at.row * self.n + at.column);
            store_f32(out, at.masks(), sums);
        }
    }

    #[inline(always)]
    fn fetch(&self, row: usize, column: usize) {
        prefetch_lines(self.out.pointer().wrapping_add(row * self.n + column), 2);
    }
}

/// Writes 32 columns, those that exist.
#[inline(always)]
unsafe fn store_f32(out: *mut f32, masks: [__mmask16; 2], [a, b]: [__m512; 2]) {
    // SAFETY: the caller's promise: AVX-512, and the columns of the masks are writable.
    unsafe {
        _mm512_mask_storeu_ps(out, masks[0], a);
        _mm512_mask_storeu_ps(out.wrapping_add(PANEL), masks[1], b);
    }
}

/// Adds to f32, or writes what is there in another array plus the sums.
pub(crate) struct AddF32<'a> {
    /// Added to the sums; the output itself, or of its size.
    from: *const f32,
    out: DisjointOut<'a, f32>,
    n: usize,
}
// SAFETY: `from` is only read, and outlives the product; where it is the output, each task reads what it alone writes.
unsafe impl Sync for AddF32<'_> {}
impl<'a> AddF32<'a> {
    /// Adds to `out`.
    pub(crate) fn to(out: &'a mut [f32], n: usize) -> Self {
        let out = DisjointOut::new(out);
        Self { from: out.pointer(), out, n }
    }

    /// Writes `from` plus the sums.
    pub(crate) fn sum(from: &'a [f32], out: &'a mut [f32], n: usize) -> Self {
        assert_eq!(from.len(), out.len(), "both are of the output's size");
        Self { from: from.as_ptr(), out: DisjointOut::new(out), n }
    }
}
impl Epilogue for AddF32<'_> {
    #[inline(always)]
    unsafe fn row(&self, at: At, [a, b]: [__m512; 2]) {
        // SAFETY: the caller's promise.
        unsafe {
            let start = at.row * self.n + at.column;
            let (from, out) = (self.from.add(start), self.out.pointer().add(start));
            let masks = at.masks();
            let x = _mm512_maskz_loadu_ps(masks[0], from);
            let y = _mm512_maskz_loadu_ps(masks[1], from.wrapping_add(PANEL));
            store_f32(out, masks, [_mm512_add_ps(x, a), _mm512_add_ps(y, b)]);
        }
    }

    #[inline(always)]
    fn fetch(&self, row: usize, column: usize) {
        prefetch_lines(self.from.wrapping_add(row * self.n + column), 2);
    }
}

/// Rounds to bf16.
pub(crate) struct WriteBf16<'a> {
    pub(crate) out: DisjointOut<'a, bf16>,
    pub(crate) n: usize,
}
impl Epilogue for WriteBf16<'_> {
    #[inline(always)]
    unsafe fn row(&self, at: At, [a, b]: [__m512; 2]) {
        // SAFETY: the caller's promise.
        unsafe {
            let out = self.out.pointer().add(at.row * self.n + at.column);
            _mm512_mask_storeu_epi16(out.cast(), at.mask(), rounded(a, b));
        }
    }

    #[inline(always)]
    fn fetch(&self, row: usize, column: usize) {
        prefetch_lines(self.out.pointer().wrapping_add(row * self.n + column), 1);
    }
}

/// Two registers rounded to one of bf16.
#[inline(always)]
pub(crate) unsafe fn rounded(a: __m512, b: __m512) -> __m512i {
    // SAFETY: the caller's promise: AVX-512 with bf16; the types are the same 64 bytes.
    unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(b, a)) }
}

/// Streamed stores are ordered with nothing else; other threads read them after this.
pub(crate) fn fence() {
    // SAFETY: every x86-64 has the instruction.
    unsafe { _mm_sfence() };
}

/// Writes past the caches: for outputs that are larger than they are, in rows that begin on cache lines and consist of
/// whole tiles.
pub(crate) struct Stream<E>(pub(crate) E);

impl Epilogue for Stream<WriteF32<'_>> {
    #[inline(always)]
    unsafe fn row(&self, at: At, [a, b]: [__m512; 2]) {
        // SAFETY: the caller's promise; lines are aligned (see `Stream`).
        unsafe {
            let out = self.0.out.pointer().add(at.row * self.0.n + at.column);
            _mm512_stream_ps(out, a);
            _mm512_stream_ps(out.add(PANEL), b);
        }
    }

    fn finish(&self) {
        fence();
    }

    #[inline(always)]
    fn fetch(&self, _row: usize, _column: usize) {}
}

impl Epilogue for Stream<WriteBf16<'_>> {
    #[inline(always)]
    unsafe fn row(&self, at: At, [a, b]: [__m512; 2]) {
        // SAFETY: as above.
        unsafe {
            let out = self.0.out.pointer().add(at.row * self.0.n + at.column);
            _mm512_stream_si512(out.cast(), rounded(a, b));
        }
    }

    fn finish(&self) {
        fence();
    }

    #[inline(always)]
    fn fetch(&self, _row: usize, _column: usize) {}
}
