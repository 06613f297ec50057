//! Sampling text from a model.
//!
//! # Tour
//! - [`Sampling`]: temperature, top-k, top-p, seed.
//! - [`Generator`] holds a model and its tokenizer; [`Generator::open`] reads a model's folder,
//!   [`Generator::continue_text`] continues a prompt token by token over a cache of keys and values.

mod error;
mod generator;
mod sampling;

pub use error::GenerateError;
pub use generator::{Generator, StopReason, read_tokenizer};
pub use sampling::Sampling;
