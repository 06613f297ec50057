//! Texts of tiny random models: by the engine, and by whole forward passes.

#![allow(clippy::unwrap_used)]

mod alone;
mod oracle;
mod requests;
mod support;
