//! What became of a mixture: `mix.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tutelage_data::PackingNumbers;
use tutelage_run::Hash;

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MixReport {
    /// Hash of the tokenizer's file.
    pub tokenizer: Hash,
    /// Entries of its vocabulary.
    pub vocab_size: usize,
    /// What there was.
    pub sources: BTreeMap<String, SourceReport>,
    /// What was made of it, in order.
    pub phases: Vec<PhaseReport>,
    /// Documents that no phase has, where some were held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heldout: Option<PhaseReport>,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// Its documents, held-out ones left out.
    pub documents: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Documents that no phase has drawn.
    pub unused_documents: u64,
    /// Their tokens.
    pub unused_tokens: u64,
    /// How often a token was seen over all phases, on average.
    pub epochs: f64,
}

/// A phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseReport {
    /// Its name, and that of its shard.
    pub name: String,
    /// Tokens of a sequence in it.
    pub seq_len: usize,
    /// Documents; one that is there twice counts twice.
    pub documents: u64,
    /// Their tokens.
    pub tokens: u64,
    /// UTF-8 bytes of their texts.
    pub text_bytes: u64,
    /// By source.
    pub sources: BTreeMap<String, PhaseSource>,
    /// One stream that is cut into sequences.
    pub stream: Option<PackingNumbers>,
    /// Documents laid whole into sequences.
    pub best_fit: Option<PackingNumbers>,
}

/// A source in a phase.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseSource {
    /// Documents.
    pub documents: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Those of them in short documents, where the phase asks for these.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub short_tokens: u64,
    /// What was asked for.
    pub asked: u64,
    /// Share of the phase's tokens.
    pub share: f64,
    /// How often a token of the source is in this phase, on average.
    pub epochs: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}
