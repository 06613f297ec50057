//! What a cache says of itself.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tutelage_data::PackedSet;
use tutelage_run::{Hash, Hasher};

use crate::CacheError;

/// Which entries of a distribution are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kept {
    /// The most likely entries, until `top_p`, at most `top_k` (2410.16215); values are log-probabilities.
    TopPK {
        /// Mass to reach.
        top_p: f64,
        /// Most entries.
        top_k: usize,
    },
    /// Independent draws (2503.16870); values are how often each entry was drawn.
    Samples {
        /// Draws a token.
        n: usize,
        /// Seed of the draws.
        seed: u64,
    },
}

impl Kept {
    /// Most entries a token can have.
    pub fn max_entries(&self) -> usize {
        match *self {
            Kept::TopPK { top_k, .. } => top_k,
            Kept::Samples { n, .. } => n,
        }
    }
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kept::TopPK { top_p, top_k } => write!(f, "top-{top_p}-{top_k}"),
            Kept::Samples { n, seed } => write!(f, "{n} samples (seed {seed})"),
        }
    }
}

/// What a cache was made from. Two caches with equal headers hold the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheHeader {
    /// Always `tutelage-cache-2`.
    pub format: String,
    /// Hash of the teacher's weights.
    pub teacher: Hash,
    /// Hash of the tokenizer.
    pub tokenizer: Hash,
    /// Hash of the corpus as tokens.
    pub corpus: Hash,
    /// Hash of corpus and packing.
    pub packing: Hash,
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Tokens of a sequence.
    pub seq_len: usize,
    /// Which entries are kept.
    pub kept: Kept,
    /// Sequences covered.
    pub n_sequences: usize,
    /// Hash of their numbers.
    pub sequences: Hash,
}

/// The `format` this program writes and reads.
pub(super) const FORMAT: &str = "tutelage-cache-2";

impl CacheHeader {
    /// The header of a cache of these sequences of `set`, by a teacher whose weights have this hash.
    pub fn new(set: &PackedSet, sequences: &[usize], teacher: &Hash, vocab_size: usize, kept: Kept) -> Self {
        let numbers: Vec<u8> = sequences.iter().flat_map(|&s| (s as u64).to_le_bytes()).collect();
        let manifest = set.shard().manifest();
        Self {
            format: Self::format(),
            teacher: teacher.clone(),
            tokenizer: manifest.tokenizer.clone(),
            corpus: manifest.bin.clone(),
            packing: set.hash().clone(),
            vocab_size,
            seq_len: set.seq_len(),
            kept,
            n_sequences: sequences.len(),
            sequences: Hasher::default().part(&numbers).finish(),
        }
    }

    /// The value of `format`.
    pub fn format() -> String {
        FORMAT.to_owned()
    }

    /// Refuses a cache made for something else, naming what differs first.
    pub(super) fn compare(&self, expected: &CacheHeader, path: &Path) -> Result<(), CacheError> {
        let pairs: [(&'static str, String, String); 9] = [
            ("format", self.format.clone(), expected.format.clone()),
            ("tokenizer", self.tokenizer.to_string(), expected.tokenizer.to_string()),
            ("corpus", self.corpus.to_string(), expected.corpus.to_string()),
            ("sequence length", self.seq_len.to_string(), expected.seq_len.to_string()),
            ("packing", self.packing.to_string(), expected.packing.to_string()),
            ("teacher", self.teacher.to_string(), expected.teacher.to_string()),
            ("vocabulary size", self.vocab_size.to_string(), expected.vocab_size.to_string()),
            ("truncation", self.kept.to_string(), expected.kept.to_string()),
            ("set of sequences", self.sequences.to_string(), expected.sequences.to_string()),
        ];
        for (what, found, expected) in pairs {
            if found != expected {
                return Err(CacheError::Mismatch { path: path.to_path_buf(), what, found, expected });
            }
        }
        Ok(())
    }
}
