//! The feed-forward on the tape.

use super::FeedForward;
use crate::{Tape, Var};

impl Tape<'_> {
    /// `residual + (silu(x W1^T) * (x W3^T)) W2^T` for activations `x [t, d_model]` and an f32 residual stream
    /// `[t, d_model]` -> f32 `[t, d_model]`; without one the product alone.
    pub fn feed_forward(&mut self, x: &Var, weights: FeedForward, residual: Option<&Var>) -> Var {
        #[cfg(target_arch = "x86_64")]
        if super::tiles::suits(self.params(), weights, x) {
            return super::tiles::record(self, x, weights, residual);
        }
        let (gate, up) = (self.linear(x, weights.w1), self.linear(x, weights.w3));
        let h = self.swiglu(&gate, &up);
        self.linear_add(&h, weights.w2, residual)
    }
}
