//! `silu(gate) * up`, `silu(x) = x / (1 + e^-x)`.

pub(super) mod cpu;
mod op;
pub mod reference;
