//! Decoder parameters and forward pass, safetensors in and out.
//!
//! # Tour
//! - [`DecoderConfig`]: sizes; read from and written as Hugging Face's `config.json`.
//! - [`Decoder`]: parameters under the family's own names, and the forward pass: [`Decoder::hidden`] over
//!   packed documents for training, [`Decoder::continue_hidden`] over a cache for generation.
//! - [`Decoder::random`] documents the initialisation; [`Decoder::save`] and [`Decoder::load`] are the
//!   Hugging Face folder.
//!
//! - [`GgufFile`]: llama.cpp's files, quantised or not; [`Decoder::from_gguf`].
//!
//! A forward pass sees ids, positions and a cache: never a file, a tokenizer or a loss.

mod decoder;
mod error;
mod files;
mod gguf;
mod tensors;

pub use decoder::{Decoder, DecoderConfig, Family, Input, RopeScaling};
pub use error::ModelError;
pub use files::ModelManifest;
pub use gguf::{GgufFile, Value};
pub use tensors::{Named, read_tensors, write_tensors};
