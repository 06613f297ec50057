//! Texts of tiny random models: by the engine, and by whole forward passes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod alone;
mod beams;
mod constrained;
mod drafted;
mod oracle;
mod requests;
mod rollouts;
mod support;
