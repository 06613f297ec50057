//! Families of decoders: what each of them is made of.

use std::fmt;

use super::{DecoderConfig, RopeScaling};
use crate::ModelError;

/// An architecture as its publishers name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// InternLM2 (2403.17297): queries, keys and values in one matrix, interleaved by key-value head.
    InternLm2,
    /// Llama 2 and 3 (2307.09288, 2407.21783).
    Llama,
    /// Mistral (2310.06825): a sliding window, perhaps.
    Mistral,
    /// Mixtral (2401.04088): experts.
    Mixtral,
    /// Qwen2 (2407.10671): biases of queries, keys and values.
    Qwen2,
    /// Qwen3 (2505.09388): norms of heads.
    Qwen3,
    /// GLM-4 of 2024 (2406.12793): half of each head is rotated, in pairs.
    Glm,
    /// GLM-4 of 2025: norms of what a block adds, too.
    Glm4,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 8] = [
        Family::InternLm2,
        Family::Llama,
        Family::Mistral,
        Family::Mixtral,
        Family::Qwen2,
        Family::Qwen3,
        Family::Glm,
        Family::Glm4,
    ];

    /// As its publishers spell it.
    pub fn title(self) -> &'static str {
        match self {
            Family::InternLm2 => "InternLM2",
            Family::Llama => "Llama",
            Family::Mistral => "Mistral",
            Family::Mixtral => "Mixtral",
            Family::Qwen2 => "Qwen2",
            Family::Qwen3 => "Qwen3",
            Family::Glm => "GLM",
            Family::Glm4 => "GLM-4",
        }
    }

    /// `model_type` in `config.json`.
    pub fn model_type(self) -> &'static str {
        match self {
            Family::InternLm2 => "internlm2",
            Family::Llama => "llama",
            Family::Mistral => "mistral",
            Family::Mixtral => "mixtral",
            Family::Qwen2 => "qwen2",
            Family::Qwen3 => "qwen3",
            Family::Glm => "glm",
            Family::Glm4 => "glm4",
        }
    }

    /// The class that `config.json` names.
    pub(super) fn architecture(self, reward: bool) -> String {
        let name = match self {
            Family::Glm4 => "Glm4",
            Family::Glm => "Glm",
            other => other.title(),
        };
        format!("{name}For{}", if reward { "RewardModel" } else { "CausalLM" })
    }

    /// Base of the rotary angles where `config.json` has none.
    pub(super) fn default_rope_theta(self) -> f64 {
        if self == Family::Mixtral { 1e6 } else { 1e4 }
    }

    /// Whether neighbouring rows of a head are rotated, where others rotate its halves.
    pub(super) fn rotates_pairs(self) -> bool {
        matches!(self, Family::Glm | Family::Glm4)
    }

    /// Whether the two matrices of the gated unit are one in its files.
    pub(super) fn fuses_gate_up(self) -> bool {
        matches!(self, Family::Glm | Family::Glm4)
    }

    /// Whether a window can be set.
    pub(super) fn may_have_window(self) -> bool {
        matches!(self, Family::Mistral | Family::Mixtral | Family::Qwen2 | Family::Qwen3)
    }

    /// Refuses what models of this family do not have.
    pub(super) fn check(self, config: &DecoderConfig) -> Result<(), ModelError> {
        let options = &config.options;
        let is_glm = self.rotates_pairs();
        let rules = [
            ("qkv_bias", options.qkv_bias, self == Family::Qwen2, self == Family::Qwen2 || is_glm),
            ("head_norms", options.head_norms, self == Family::Qwen3, self == Family::Qwen3),
            ("post_norms", options.post_norms, self == Family::Glm4, self == Family::Glm4),
            ("d_rotary", options.d_rotary.is_some(), false, is_glm),
            ("window", options.window.is_some(), false, self.may_have_window()),
            ("full_layers", !options.full_layers.is_empty(), false, matches!(self, Family::Qwen2 | Family::Qwen3)),
            ("experts", options.experts.is_some(), self == Family::Mixtral, self == Family::Mixtral),
            ("reward", options.reward, false, self == Family::InternLm2),
            ("tied_embeddings", config.tied_embeddings, false, self != Family::InternLm2),
        ];
        let refuse = |field, value: String, rule: &str| {
            let fault = format!("models of the family {} {rule}", self.title());
            Err(ModelError::Config { field, value, fault })
        };
        for (field, found, always, may) in rules {
            if always && !found {
                return refuse(field, "none".to_owned(), "have it always");
            }
            if found && !may {
                return refuse(field, "some".to_owned(), "have none");
            }
        }
        let internlm2_scaling =
            matches!(config.rope_scaling, RopeScaling::None | RopeScaling::Linear { .. } | RopeScaling::Dynamic { .. });
        if self == Family::InternLm2 && !internlm2_scaling {
            return refuse("rope_scaling", config.rope_scaling.name().to_owned(), "have none, linear, or dynamic");
        }
        if self == Family::InternLm2 && config.d_model != config.n_heads * config.d_head {
            let fault = format!("does not divide d_model = {}; heads share the width evenly", config.d_model);
            return Err(ModelError::Config { field: "n_heads", value: config.n_heads.to_string(), fault });
        }
        Ok(())
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.model_type())
    }
}
