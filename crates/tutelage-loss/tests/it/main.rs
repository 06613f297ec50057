//! The objective through the engine's chunked loss, against PyTorch, finite differences and naive sums.

#![allow(clippy::unwrap_used)]

mod differences;
mod features;
mod properties;
mod pytorch;
