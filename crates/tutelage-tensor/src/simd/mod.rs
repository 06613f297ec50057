//! Instruction sets and the row primitives that are compiled once for each.

mod block_product;
#[cfg(target_arch = "x86_64")]
mod block_product_avx512;
mod exp;
#[cfg(target_arch = "x86_64")]
mod exp2_avx512;
mod instructions;
mod isa;
mod ln;
mod pointwise;
mod rows;
mod softmax;
#[cfg(test)]
mod tests;

pub(crate) use block_product::{BlockProduct, Strided};
pub(crate) use exp::exp;
#[cfg(target_arch = "x86_64")]
pub(crate) use exp2_avx512::exp2;
#[cfg(target_arch = "x86_64")]
pub(crate) use instructions::Avx512Bf16;
pub use instructions::Instructions;
pub(crate) use instructions::{LANES, load, store};
pub use isa::{Isa, IsaUnavailable};
pub(crate) use isa::{SimdTask, multiply_add};
pub use pointwise::{Entry, Pointwise, Shares, Softmax, ln};
pub use rows::RowMath;
pub(crate) use rows::{fold, largest};
pub use softmax::{PairSums, SoftmaxPair};

/// Asks for the cache lines of `row[at ..][.. len]`, which will be read soon; nothing where that is beyond the end.
#[inline(always)]
pub(crate) fn prefetch<T>(row: &[T], at: usize, len: usize) {
    if let Some(part) = row.get(at..at + len) {
        prefetch_lines(part.as_ptr(), size_of_val(part).div_ceil(64));
    }
}

/// Asks for `lines` cache lines from an address on, whatever is there.
#[inline(always)]
pub(crate) fn prefetch_lines<T>(from: *const T, lines: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..lines {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, whatever the address; every x86-64 has the instruction.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_byte_add(64 * line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, lines);
}
