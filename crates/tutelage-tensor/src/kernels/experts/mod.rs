//! A sparse mixture of feed-forwards: a router gives each row to its `k` most likely experts, whose outputs are summed
//! by weight (2401.04088, section 2.1). No row is dropped, and an expert computes its own rows alone, so time and memory
//! grow with the experts in use.
//!
//! The weights are the softmax over the chosen logits, which is that over all, normalised among the chosen.

mod load;
mod mix;
pub mod reference;
mod route;

pub use load::ExpertLoad;

use crate::kernels::feed_forward::FeedForward;
use crate::{ParamId, Tape, Var};

/// The weights of a mixture.
#[derive(Debug, Clone, Copy)]
pub struct Experts<'a> {
    /// `[n_experts, d_model]`, whose products are the logits of the choice.
    pub router: ParamId,
    /// Experts that each row goes to.
    pub k: usize,
    /// The experts.
    pub experts: &'a [FeedForward],
}

impl<'p> Tape<'p> {
    /// `residual + sum of weight * expert(x)` for activations `x [t, d_model]` and an f32 residual stream
    /// `[t, d_model]` -> f32 `[t, d_model]`; without one the sum alone.
    ///
    /// Where a load is given, this is its layer with that index: what the router did is counted there, and the router
    /// learns from its loss too.
    pub fn experts(
        &mut self,
        x: &Var,
        mixture: Experts<'_>,
        residual: Option<&Var>,
        load: Option<(&std::sync::Arc<ExpertLoad>, usize)>,
    ) -> Var {
        let (weights, routing) = route::record(self, x, mixture, load);
        mix::record(self, (x, &weights), routing, mixture.experts, residual)
    }
}
