//! The gated feed-forward as one operation: `residual + (silu(x W1^T) * (x W3^T)) W2^T`.
//!
//! On tiles the gated unit is computed in the products' epilogues, forward and backward; elsewhere the operation is
//! the three products and the gated unit one after another.

mod op;
pub mod reference;
#[cfg(target_arch = "x86_64")]
mod tiles;

use crate::ParamId;

/// The three matrices.
#[derive(Debug, Clone, Copy)]
pub struct FeedForward {
    /// `[d_ff, d_model]`, whose product is gated.
    pub w1: ParamId,
    /// `[d_ff, d_model]`.
    pub w3: ParamId,
    /// `[d_model, d_ff]`.
    pub w2: ParamId,
}
