//! The stage `tokenize`: of each document its ids, with what begins and ends one.
//!
//! A record of `.tokens` is the number of ids (u32; its highest bit set for a document that is held out), the bytes of its text (u32),
//! and the ids, in as many bytes as shards have for them; all little-endian.

use std::fmt;

use serde_json::{Value, json};
use tutelage_corpus::{At, DocumentStage, Reason, Record, Tally};
use tutelage_data::{Split, id_width};
use tutelage_run::Hash;
use tutelage_token::{Encoder, Tokenizer};

/// The stage.
pub struct Tokenize<'t> {
    tokenizer: &'t Tokenizer,
    hash: Hash,
    heldout_fraction: f64,
}

impl fmt::Debug for Tokenize<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenize").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// Set in the number of ids of what is held out.
pub(crate) const HELD_OUT: u32 = 1 << 31;

/// Name of the stage.
pub(crate) const NAME: &str = "tokenize";

impl<'t> Tokenize<'t> {
    /// With a tokenizer and the hash of its file. A share of the documents is held out, by the hash of their text.
    pub fn new(tokenizer: &'t Tokenizer, hash: Hash, heldout_fraction: f64) -> Self {
        Self { tokenizer, hash, heldout_fraction }
    }
}

/// An encoder, and the ids of the document at work.
#[derive(Debug)]
pub struct TokenizeWorker<'t> {
    encoder: Encoder<'t>,
    ids: Vec<u32>,
}

impl<'t> DocumentStage for Tokenize<'t> {
    type Worker = TokenizeWorker<'t>;

    fn name(&self) -> &'static str {
        NAME
    }

    fn settings(&self) -> Value {
        json!({
            "tokenizer_hash": self.hash,
            "vocab_size": self.tokenizer.vocab_size(),
            "heldout_fraction": self.heldout_fraction,
        })
    }

    fn worker(&self) -> TokenizeWorker<'t> {
        TokenizeWorker { encoder: self.tokenizer.encoder(), ids: Vec::new() }
    }

    fn apply(&self, worker: &mut Self::Worker, record: &mut Record, _: At, tally: &mut Tally) -> Result<(), Reason> {
        if record.text.trim().is_empty() {
            return Err(Reason::Empty);
        }
        // A record has 31 bits for their number.
        let TokenizeWorker { encoder, ids } = worker;
        ids.clear();
        encoder.encode_document(&record.text, ids).map_err(|_| Reason::NotTokenized)?;
        if ids.len() >= HELD_OUT as usize || record.text.len() > u32::MAX as usize {
            return Err(Reason::NotTokenized);
        }
        tally.add("tokens", ids.len() as u64);
        tally.add("text_bytes", record.text.len() as u64);
        Ok(())
    }

    fn write(&self, worker: &mut Self::Worker, record: &Record, _: At, out: &mut Vec<u8>) {
        let ids = &worker.ids;
        let held_out = Split::of(&record.text, self.heldout_fraction) == Split::HeldOut;
        let n = ids.len() as u32 | if held_out { HELD_OUT } else { 0 };
        out.extend(n.to_le_bytes());
        out.extend((record.text.len() as u32).to_le_bytes());
        match id_width(self.tokenizer.vocab_size()) {
            2 => out.extend(ids.iter().flat_map(|&id| (id as u16).to_le_bytes())),
            _ => out.extend(ids.iter().flat_map(|id| id.to_le_bytes())),
        }
    }

    fn ending(&self) -> &'static str {
        ".tokens"
    }
}
