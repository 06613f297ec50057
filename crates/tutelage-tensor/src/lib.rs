//! The engine: plain tensors, a tape of *fused* operations, and their CPU kernels.
//!
//! # Tour
//! - [`Device`] is a thread pool, an instruction set ([`Isa`]) and a pool of reusable memory.
//! - [`Tensor`] is a shape and shared storage; dtype ([`DType`]) is a run-time value.
//! - [`Params`] holds a model's f32 master weights and their compute copies; [`Grads`] their gradients.
//! - [`Tape`] records operations on [`Var`]s and unwinds them backward. Each operation is a folder of
//!   [`kernels`]: `reference.rs` (naive, f64, the oracle), `cpu.rs` (fast), `op.rs` (its place on the tape).
//! - [`matmul`] is the matrix product under everything: AMX, AVX-512-BF16, or f32 through the `gemm` crate.
//! - [`ceiling`] is what benches divide by.
//! - [`simd`] has the row primitives (softmax, log-sum-exp) that objectives are written with.
//!
//! # Rules
//! - Same inputs, same bits, for any number of threads: work is divided over *outputs* in blocks whose
//!   sizes never depend on the number of threads, and every sum has one fixed order.
//! - Shapes that do not fit are a mistake of the caller in this workspace, so they panic with both shapes;
//!   what a user can get wrong is checked before it comes here.
//! - This is the one crate (besides the memory map of `tutelage-run`) that may use `unsafe`.

mod buffer;
pub mod ceiling;
mod device;
mod dtype;
mod grads;
pub mod kernels;
pub mod matmul;
mod params;
mod profile;
mod served;
pub mod simd;
mod tape;
mod tensor;

pub use buffer::{Buffer, MemoryUse};
pub use device::Device;
pub use dtype::{DType, Element, Precision};
pub use grads::{Grads, RowGrads};
pub use half::bf16;
pub use params::{Param, ParamId, Params};
pub use profile::OpTime;
pub use served::Weights;
pub use simd::{Isa, IsaUnavailable};
pub use tape::{NodeGrads, Tape, Var};
pub use tensor::Tensor;
