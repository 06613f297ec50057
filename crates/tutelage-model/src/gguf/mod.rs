//! GGUF: llama.cpp's file of one model, its metadata and quantised tensors.
//!
//! Format: `docs/gguf.md` of ggml (versions 2 and 3, little-endian). [`GgufFile`] reads metadata and tensors,
//! [`quants`] gives their values; what they mean for a decoder is in [`config`].

mod bytes;
mod config;
mod file;
mod k_quants;
mod quants;
mod rope;
mod write;

pub(crate) use config::{ROPE_FACTORS, config};
pub use file::{GgufFile, Value};
pub use write::GgufType;
pub(crate) use write::write;
