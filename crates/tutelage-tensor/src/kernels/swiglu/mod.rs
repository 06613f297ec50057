//! `silu(gate) * up`, `silu(x) = x / (1 + e^-x)`.

mod cpu;
mod op;
pub mod reference;
