//! Instruction sets and the row primitives that are compiled once for each.

mod block_product;
#[cfg(target_arch = "x86_64")]
mod block_product_avx512;
mod exp;
mod isa;
mod rows;
#[cfg(test)]
mod tests;

pub(crate) use block_product::{BlockProduct, Strided};
pub(crate) use exp::exp;
pub use isa::{Isa, IsaUnavailable};
pub(crate) use isa::{SimdTask, multiply_add};
pub(crate) use rows::fold;
pub use rows::{PairSums, RowMath, SoftmaxPair};
