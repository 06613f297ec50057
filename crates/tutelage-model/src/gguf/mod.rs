//! GGUF: llama.cpp's file of one model, its metadata and quantised tensors.
//!
//! Format: `docs/gguf.md` of ggml (versions 2 and 3, little-endian). [`GgufFile`] reads metadata and tensors,
//! [`quants`] gives their values; what they mean for a decoder is in [`decoder`].

mod bytes;
mod decoder;
mod file;
mod k_quants;
mod quants;

pub use file::{GgufFile, Value};
