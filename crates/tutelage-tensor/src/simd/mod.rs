//! Instruction sets and the row primitives that are compiled once for each.

mod block_product;
mod exp;
mod isa;
mod rows;
#[cfg(test)]
mod tests;

pub(crate) use block_product::{BlockProduct, Strided};
pub(crate) use exp::exp;
pub use isa::{Isa, IsaUnavailable};
pub(crate) use isa::{SimdTask, multiply_add};
pub use rows::RowMath;
