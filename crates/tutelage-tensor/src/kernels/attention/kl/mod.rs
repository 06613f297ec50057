//! Distance between two models' attention maps, block by block.
//!
//! `sum over heads and rows of KL(A_teacher || A_student)`, where a row of `A` is a query's softmax over the keys that it sees
//! (2406.19112). As in attention itself no map exists: the forward pass keeps two log-sum-exps a query, the
//! backward pass computes scores again. The gradient of a student's scores is `A_student - A_teacher`.

mod backward;
mod forward;
mod op;
pub mod reference;

pub use op::Compared;

use std::sync::Arc;

use super::{AttentionShape, RopeTable};
use crate::Tensor;

/// What a model's attention maps follow from, without the maps.
#[derive(Debug, Clone)]
pub struct AttentionMaps {
    /// Heads.
    pub shape: AttentionShape,
    /// Angles.
    pub rope: Arc<RopeTable>,
    /// Place of each row among the angles `[t]`.
    pub places: Vec<i32>,
    /// Queries, keys and values, activations `[t, qkv_width]`.
    pub qkv: Tensor,
}

/// A teacher's, for the rows of a batch, which may have gone through it in parts.
#[derive(Debug, Clone)]
pub struct TeacherMaps {
    /// Parts in order: the first row of each, and its rows.
    pub parts: Vec<(usize, AttentionMaps)>,
}

impl TeacherMaps {
    /// The part with a row, and its first row.
    fn of_row(&self, row: usize) -> (usize, &AttentionMaps) {
        let after = self.parts.partition_point(|(first, _)| *first <= row);
        match after.checked_sub(1).map(|part| &self.parts[part]) {
            Some((first, maps)) => (*first, maps),
            None => panic!("row {row} is before all parts of a teacher's attention"),
        }
    }
}
