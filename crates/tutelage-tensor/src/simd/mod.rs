//! Instruction sets and the row primitives that are compiled once for each.

mod block_product;
#[cfg(target_arch = "x86_64")]
mod block_product_avx512;
mod exp;
mod instructions;
mod isa;
mod rows;
mod softmax;
#[cfg(test)]
mod tests;

pub(crate) use block_product::{BlockProduct, Strided};
pub(crate) use exp::exp;
#[cfg(target_arch = "x86_64")]
pub(crate) use instructions::Avx512Bf16;
pub(crate) use instructions::{Instructions, LANES, load, store};
pub use isa::{Isa, IsaUnavailable};
pub(crate) use isa::{SimdTask, multiply_add};
pub use rows::RowMath;
pub(crate) use rows::fold;
pub use softmax::{PairSums, SoftmaxPair};

/// Asks for the cache lines of `row[at ..][.. len]`, which will be read soon; nothing where that is beyond the end.
#[inline(always)]
pub(crate) fn prefetch<T>(row: &[T], at: usize, len: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(part) = row.get(at..at + len) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        for line in part.chunks((64 / size_of::<T>()).max(1)) {
            // SAFETY: a hint about memory that exists; every x86-64 has the instruction.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (row, at, len);
}
