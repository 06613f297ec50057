//! Sampling text from a model.
//!
//! # Tour
//! - [`Sampling`]: temperature, top-k, top-p, seed.
//! - [`Generator`] holds a model and its tokenizer; [`Generator::open`] reads a model's folder,
//!   [`Generator::continue_text`] continues a prompt token by token over a cache of keys and values, and
//!   [`Generator::answer`] answers a chat.

mod error;
mod folder;
mod generator;
mod sampling;

pub use error::GenerateError;
pub use folder::{read_chat_template, read_tokenizer};
pub use generator::{Generator, StopReason};
pub use sampling::Sampling;
