//! Matrix product: `out[m, n] = lhs[m, k] rhs[k, n]`, f32 accumulation.
//!
//! The left operand is row-major as it lies in memory. The right operand is either a bf16 matrix packed
//! into tiles ([`PackedRhs`]: weights once per optimizer step, activations when a weight gradient needs
//! them) for the machine's bf16 instructions, or an f32 matrix with strides for the `gemm` crate.
//! The result is divided into blocks of fixed size, so its bits do not depend on the number of threads.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512_bf16;
mod convert;
#[cfg(target_arch = "x86_64")]
pub(crate) mod epilogue;
#[cfg(target_arch = "x86_64")]
mod left;
mod pack;
#[cfg(target_arch = "x86_64")]
mod pack_avx512;
#[cfg(target_arch = "x86_64")]
mod part;
mod product;
mod quantized;
mod rows_f32;
#[cfg(target_arch = "x86_64")]
mod rows_x86;
mod spin;
mod strided_f32;
#[cfg(test)]
mod tests;
mod tiled;
#[cfg(target_arch = "x86_64")]
mod tiles;

#[cfg(target_arch = "x86_64")]
pub(crate) use amx::{Panels, SmallProduct, Term, Tiles, ready as amx_ready};
pub(crate) use convert::{Round, round_into, rounded, transposed, widened};
#[cfg(target_arch = "x86_64")]
pub(crate) use left::{LeftRows, LeftTiles};
pub use pack::PackedRhs;
pub(crate) use pack::pack_part;
#[cfg(target_arch = "x86_64")]
pub(crate) use pack_avx512::{interleaved_tile, left_tile, transposed_tile};
#[cfg(target_arch = "x86_64")]
pub(crate) use part::PackedPart;
pub use product::{Lhs, Out, Rhs, matmul};
pub use quantized::{Bits, QuantizedRhs};
pub(crate) use spin::spin;
#[cfg(target_arch = "x86_64")]
pub(crate) use tiles::{columns as columns_product, product as tile_product, product_in_blocks};
