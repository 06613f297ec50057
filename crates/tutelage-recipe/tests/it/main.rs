//! Tokenizers out of files.

#![allow(clippy::unwrap_used)]

mod golden;
