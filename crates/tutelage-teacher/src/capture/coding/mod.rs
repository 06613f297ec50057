//! How the entries of a token are packed.

mod bits;
mod dtype;
mod legacy;
mod quantised;

use serde_json::Value;

use crate::cache::Row;
use legacy::Legacy;
use quantised::Quantised;

/// What a cell of a column holds, little-endian: one byte, or as many as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    Byte,
    U32,
    U64,
    F32,
}

/// A way of packing.
#[derive(Debug, Clone)]
pub(super) enum Coding {
    /// Exact values, a fitted curve, and what is left of it in few bits.
    Quantised(Quantised),
    /// Exact values and a polynomial.
    Legacy(Legacy),
    /// Ids and log-probabilities as they are.
    Plain,
}

impl Coding {
    /// As `compression_config.yaml` says.
    pub(super) fn from_config(config: Value) -> Result<Self, String> {
        match config.get("polynomial_degree") {
            Some(_) => Ok(Coding::Legacy(Legacy::from_config(config)?)),
            None => Ok(Coding::Quantised(Quantised::from_config(config)?)),
        }
    }

    /// The columns of a token's entries, and the cells that each has for it, where that is known.
    pub(super) fn columns(&self) -> Vec<(&'static str, Cell, Option<usize>)> {
        match self {
            Coding::Quantised(coding) => vec![
                ("compressed_logprobs", Cell::Byte, Some(coding.logprob_bytes())),
                ("bytepacked_indices", Cell::Byte, Some(coding.id_bytes())),
            ],
            Coding::Legacy(coding) => vec![
                ("packed_indices", Cell::U64, Some(coding.id_words())),
                ("exact_values", Cell::F32, Some(coding.exact_k())),
                ("coeffs", Cell::F32, Some(coding.n_terms())),
            ],
            Coding::Plain => vec![("token_ids", Cell::U32, None), ("top_values", Cell::F32, None)],
        }
    }

    /// Entries of a token, where they are as many for all.
    pub(super) fn k(&self) -> Option<usize> {
        match self {
            Coding::Quantised(coding) => Some(coding.k()),
            Coding::Legacy(coding) => Some(coding.k()),
            Coding::Plain => None,
        }
    }

    /// Entries of the vocabulary that ids are packed for.
    pub(super) fn vocab_size(&self) -> Option<usize> {
        match self {
            Coding::Quantised(coding) => Some(coding.vocab_size()),
            Coding::Legacy(coding) => Some(coding.vocab_size()),
            Coding::Plain => None,
        }
    }

    /// Ids and log-probabilities of a token, from its part of each column.
    pub(super) fn decode(&self, columns: &[&[u8]]) -> Row {
        match (self, columns) {
            (Coding::Quantised(coding), [log_p, ids, ..]) => coding.decode(log_p, ids),
            (Coding::Legacy(coding), [ids, exact, terms]) => coding.decode(ids, exact, terms),
            (Coding::Plain, [ids, log_p, ..]) => {
                let ids = ids.as_chunks::<4>().0.iter().map(|id| u32::from_le_bytes(*id));
                ids.zip(floats(log_p)).collect()
            }
            _ => Row::new(),
        }
    }
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x))
}

/// Bits of an id. DistillKit computes the logarithm in f32; so does this.
fn id_bits(vocab_size: usize) -> usize {
    (vocab_size as f32).log2().ceil() as usize
}

/// Says which of a configuration's numbers cannot be.
fn check_counts(k: usize, exact_k: usize, vocab_size: usize) -> Result<(), String> {
    if k == 0 || exact_k > k {
        return Err(format!("k = {k} and exact_k = {exact_k}: k must be at least 1, and exact_k at most k"));
    }
    if k > vocab_size || !(2..=1 << 31).contains(&vocab_size) {
        return Err(format!("k = {k} entries of a vocabulary of {vocab_size}"));
    }
    Ok(())
}
