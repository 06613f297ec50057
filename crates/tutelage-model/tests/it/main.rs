//! The decoder against PyTorch, and its files.

#![allow(clippy::unwrap_used)]

mod convert;
mod families;
mod files;
mod gguf;
mod llama;
mod lora;
mod pytorch;
mod support;
