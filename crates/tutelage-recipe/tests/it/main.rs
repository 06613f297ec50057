//! Tokenizers out of files; comparisons inside of two models.

#![allow(clippy::unwrap_used)]

mod features;
mod golden;
mod on_policy;
