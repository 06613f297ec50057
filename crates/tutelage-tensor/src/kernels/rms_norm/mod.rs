//! Root-mean-square norm: `y = x / sqrt(mean(x^2) + eps) * w`.

pub(super) mod cpu;
mod op;
pub mod reference;
