//! Tokenizers beside the libraries that they come from.

#![allow(clippy::unwrap_used)]

mod chat;
mod hard;
