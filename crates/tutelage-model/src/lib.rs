//! Decoder parameters and forward pass, safetensors in and out.
//!
//! # Tour
//! - [`DecoderConfig`]: sizes; read from and written as Hugging Face's `config.json`.
//! - [`Decoder`]: parameters under the family's own names, and the forward pass: [`Decoder::hidden`] over
//!   packed documents for training, [`Decoder::batch_hidden`] over cached keys and values of many sequences.
//! - [`Decoder::random`] documents the initialisation; [`Decoder::save`] and [`Decoder::load`] are the
//!   Hugging Face folder.
//! - [`StoredModel`]: a model in files, read a weight at a time: loaded, or written otherwise.
//! - [`LoraConfig`]: adapters beside fixed weights ([`StoredModel::adapted`]), in PEFT's folders, or merged.
//! - [`GgufFile`]: llama.cpp's files, quantised or not.
//!
//! A forward pass sees ids, positions and a cache: never a file, a tokenizer or a loss.

mod decoder;
mod error;
mod files;
mod gguf;
mod lora;
mod planned;
mod stored;
mod tensors;

pub use decoder::{
    AttentionInput, Cache, Decoder, DecoderConfig, ExpertOptions, Family, Input, Onlookers, Options, Part, Probe,
    RopeScaling,
};
pub use error::ModelError;
pub use files::{ModelManifest, SaveOptions};
pub use gguf::{GgufFile, GgufType, Value};
pub use lora::LoraConfig;
pub use stored::StoredModel;
pub use tensors::{Named, StoredType, read_tensors, write_tensors};
