//! `[tokenizer]` and `[models.NAME]`: made here, or brought along.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// `[tokenizer]`: give `vocab_size` to learn one from the documents, or `from`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerSpec {
    /// Entries of the vocabulary that is learned, special tokens included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocab_size: Option<usize>,
    /// A tokenizer there is: a model's folder, a GGUF file, `tokenizer.json`, `tokenizer.model` or a `.tiktoken` file,
    /// relative to the recipe's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
}

/// `[models.NAME]`: sizes of a new model, or a stored one (with `from`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", untagged)]
pub enum ModelSpec {
    /// A new decoder.
    New(SizesSpec),
    /// A model that is stored.
    Stored(StoredSpec),
}

/// Sizes of a new decoder: InternLM2's, or with experts Mixtral's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizesSpec {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Blocks.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key-value heads; `n_heads` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_kv_heads: Option<usize>,
    /// Width of the gated feed-forward.
    pub d_ff: usize,
    /// Longest document; `data.seq_len` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_positions: Option<usize>,
    /// Base of the rotary angles.
    #[serde(default = "rope_theta")]
    pub rope_theta: f64,
    /// Added to the mean square in RMSNorm.
    #[serde(default = "norm_eps")]
    pub norm_eps: f64,
    /// Deviation of the initial weights.
    #[serde(default = "init_std")]
    pub init_std: f64,
    /// Experts in place of each feed-forward: the model is then a Mixtral decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts: Option<ExpertsSpec>,
}

/// `[models.NAME.experts]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpertsSpec {
    /// Experts of a block, each of width `d_ff`.
    pub n_experts: usize,
    /// Experts that a token goes to.
    pub n_active: usize,
    /// Weight of the loss that keeps their use even.
    #[serde(default = "balance")]
    pub balance: f64,
}

/// A stored model: training goes on from its weights, or it teaches as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredSpec {
    /// Its folder, or a GGUF file, relative to the recipe's folder.
    pub from: PathBuf,
    /// Adapters that learn in place of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraSpec>,
    /// Whether it may have a vocabulary of its own: it then teaches through caches, where both have read the same text.
    #[serde(default)]
    pub own_vocabulary: bool,
}

/// `[models.NAME.lora]`: adapters of low rank (2106.09685).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraSpec {
    /// Rank of each adapter.
    pub rank: usize,
    /// Divided by the rank (or its root) it is the scale of what is added.
    pub alpha: f64,
    /// Whether the root of the rank divides (2312.03732).
    #[serde(default)]
    pub rank_stabilised: bool,
    /// Modules, by the last part of their names in the family's folders: `q_proj`, `down_proj` ...
    pub targets: Vec<String>,
}

impl TryFrom<Table> for ModelSpec {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let is_stored = table.contains_key("from");
        let value = Value::Table(table);
        let read = match is_stored {
            true => StoredSpec::deserialize(value).map(ModelSpec::Stored),
            false => SizesSpec::deserialize(value).map(ModelSpec::New),
        };
        read.map_err(|error| format!("{} (a stored model is given by 'from')", error.message()))
    }
}

defaults! {
    rope_theta: f64 = 10_000.0;
    norm_eps: f64 = 1e-5;
    init_std: f64 = 0.02;
    balance: f64 = 0.01;
}
