//! LoRA (2106.09685): beside a weight `W` that stays as it is, `scale * B A` of low rank learns; folders are PEFT's.
//!
//! An adapter belongs to a module of the family's own layout, which is where PEFT looks for it: `q_proj` is some rows of
//! our fused matrix, `gate_up_proj` is two of our matrices.

mod attach;
mod config;
mod files;
mod merge;

pub(crate) use attach::Adapters;
pub use config::LoraConfig;
pub(crate) use merge::Merged;
