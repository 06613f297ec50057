//! `y = x W^T`, alone or added to the residual stream.

pub(super) mod cpu;
mod op;
pub mod reference;
