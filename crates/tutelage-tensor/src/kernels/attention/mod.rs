//! Causal grouped-query attention with rotary positions, from the fused query-key-value product.
//!
//! Rows are packed documents: attention stops at their borders. Work goes block by block with a running
//! softmax (Dao et al., 2205.14135), so no `t x t` matrix exists, forward or backward; only the
//! log-sum-exp of each query is kept.

mod backward;
mod forward;
pub mod kl;
mod op;
mod paged;
pub mod reference;
mod rope;
mod shape;
#[cfg(target_arch = "x86_64")]
mod tiles;

pub use paged::{KvPool, PAGE, Span};
pub use rope::RopeTable;
pub use shape::AttentionShape;
