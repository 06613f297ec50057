//! `[runs.teacher.features]`: what is compared inside of student and teacher.

use serde::{Deserialize, Serialize};

use super::ScheduleSpec;

/// `[runs.teacher.features]`, beside one live teacher.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeaturesSpec {
    /// Mean square difference of hidden states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_mse: Option<SquareSpec>,
    /// One less the cosine of hidden states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_cosine: Option<HiddenSpec>,
    /// Mean square difference of each document's mean hidden state (channel distillation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<SquareSpec>,
    /// KL divergence of attention maps; both models must have as many heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention_kl: Option<AttentionSpec>,
}

/// A comparison of hidden states by their direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HiddenSpec {
    /// What the mean over tokens (documents), channels and pairs is multiplied by.
    pub weight: ScheduleSpec,
    /// Pairs `[student, teacher]`: after how many blocks, 0 for the embeddings. Every block of the student with the teacher's at the
    /// same share of its depth if not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<(usize, usize)>,
    /// Whether a map that learns, and is thrown away in the end, brings the student's states to the teacher's width; else both
    /// must have the same.
    #[serde(default = "projection")]
    pub projection: bool,
}

/// A comparison of hidden states by squares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SquareSpec {
    /// As in [`HiddenSpec`].
    pub weight: ScheduleSpec,
    /// As in [`HiddenSpec`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<(usize, usize)>,
    /// As in [`HiddenSpec`].
    #[serde(default = "projection")]
    pub projection: bool,
    /// Whether the mean square of each difference is divided by that of the teacher's state, so that a weight means the same for any model.
    #[serde(default = "relative")]
    pub relative: bool,
}

/// A comparison of attention maps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionSpec {
    /// What the mean over tokens, heads and pairs is multiplied by.
    pub weight: ScheduleSpec,
    /// Pairs `[student, teacher]` of blocks, counted from 1; as for hidden states if not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<(usize, usize)>,
}

defaults! {
    projection: bool = true;
    relative: bool = true;
}
