//! RMSNorm of each query head and each key head in the rows of the fused product, before they are rotated
//! (Qwen3); values pass.

mod cpu;
mod op;
pub mod reference;

use crate::ParamId;
use crate::kernels::attention::AttentionShape;

/// The two weights, `[d_head]` each.
#[derive(Debug, Clone, Copy)]
pub struct HeadNorms {
    /// Of queries.
    pub queries: ParamId,
    /// Of keys.
    pub keys: ParamId,
}

/// Heads of a row in order, and which weight is theirs: 0 for queries, 1 for keys, none for values.
fn heads(shape: AttentionShape) -> impl Iterator<Item = Option<usize>> {
    let group = shape.group();
    (0..shape.n_kv_heads).flat_map(move |_| (0..group).map(|_| Some(0)).chain([Some(1), None]))
}
