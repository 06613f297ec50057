//! Reading a cache.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tutelage_loss::SparseTargets;
use tutelage_run::read_json;

use super::CacheHeader;
use super::header::FORMAT;
use super::order::{self, IdOrder};
use super::part::{self, Entry, Part};
use super::writer::sequences_per_part;
use crate::CacheError;

/// A whole cache, mapped.
#[derive(Debug)]
pub struct CacheReader {
    folder: PathBuf,
    header: CacheHeader,
    order: IdOrder,
    parts: Vec<Part>,
    /// Part and index entry of each sequence.
    index: HashMap<usize, (usize, Entry)>,
}

/// What a cache costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CacheStats {
    /// Tokens covered.
    pub n_tokens: u64,
    /// Entries kept.
    pub n_entries: u64,
    /// Bytes of all parts.
    pub n_bytes: u64,
}

impl CacheReader {
    /// Opens a cache, and verifies the header and index of every part.
    ///
    /// # Errors
    /// When a part is missing or damaged, or the cache is not for `expected`.
    pub fn open(folder: &Path, expected: Option<&CacheHeader>) -> Result<Self, CacheError> {
        let header: CacheHeader = read_json(&folder.join("cache.json"))?;
        if header.format != FORMAT {
            let (found, expected) = (header.format, FORMAT.to_owned());
            return Err(CacheError::Mismatch { path: folder.to_path_buf(), what: "format", found, expected });
        }
        if let Some(expected) = expected {
            header.compare(expected, folder)?;
        }
        let order = IdOrder::read(folder, header.vocab_size)?
            .ok_or_else(|| CacheError::damaged(&order::path(folder), "it is not there"))?;
        let mut index = HashMap::new();
        let mut parts = Vec::new();
        for number in 0..header.n_sequences.div_ceil(sequences_per_part(header.seq_len.max(1))) {
            let part = Part::open(&part::path(folder, number))?;
            if (&part.header.cache, part.header.part, &part.header.order) != (&header, number, order.hash()) {
                return Err(CacheError::damaged(part.path(), "it belongs to another cache"));
            }
            index.extend(part.entries().map(|entry| (entry.sequence, (number, entry))));
            parts.push(part);
        }
        if index.len() != header.n_sequences {
            let found = format!("{} sequences where {} were written", index.len(), header.n_sequences);
            return Err(CacheError::damaged(folder, found));
        }
        Ok(Self { folder: folder.to_path_buf(), header, order, parts, index })
    }

    /// What it was made from.
    pub fn header(&self) -> &CacheHeader {
        &self.header
    }

    /// What it costs.
    pub fn stats(&self) -> CacheStats {
        let sum = |f: fn(&Part) -> u64| self.parts.iter().map(f).sum();
        CacheStats {
            n_tokens: sum(|p| p.header.n_tokens),
            n_entries: sum(|p| p.header.n_entries),
            n_bytes: sum(Part::n_bytes),
        }
    }

    /// Appends the rows of a sequence whose ids hash to `input_hash`.
    ///
    /// # Errors
    /// When the sequence is not covered, was another text when the cache was made, or is damaged.
    pub fn read(
        &self,
        sequence: usize,
        input_hash: u64,
        n_rows: usize,
        out: &mut SparseTargets,
    ) -> Result<(), CacheError> {
        let not_covered = || CacheError::NotCovered { path: self.folder.clone(), sequence };
        let (part, entry) = self.index.get(&sequence).ok_or_else(not_covered)?;
        if entry.input_hash != input_hash {
            return Err(CacheError::Mismatch {
                path: self.folder.clone(),
                what: "text",
                found: format!("hash {:016x} of the ids of sequence {sequence}", entry.input_hash),
                expected: format!("{input_hash:016x}"),
            });
        }
        let part = &self.parts[*part];
        let bytes = part.block(*entry)?;
        let decoded = part.coding()?.reader(&self.order).decode(bytes, n_rows, out);
        decoded.map_err(|found| CacheError::damaged(part.path(), found))
    }

    /// Verifies the checksum of every block, decodes it, and compares the numbers that parts give of themselves.
    /// `progress` is told the tokens done.
    ///
    /// # Errors
    /// Names the first that is wrong.
    pub fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<(), CacheError> {
        let mut done = 0;
        for part in &self.parts {
            let mut rows = SparseTargets::new();
            self.decode(part, &mut rows)?;
            let found = (rows.n_rows() as u64, rows.ids.len() as u64);
            let written = (part.header.n_tokens, part.header.n_entries);
            if found != written {
                let found = format!("{found:?} tokens and entries where {written:?} were written");
                return Err(CacheError::damaged(part.path(), found));
            }
            done += part.header.n_tokens;
            progress(done);
        }
        Ok(())
    }

    /// Appends all rows of a part.
    pub(super) fn decode(&self, part: &Part, rows: &mut SparseTargets) -> Result<(), CacheError> {
        let reader = part.coding()?.reader(&self.order);
        for entry in part.entries() {
            let decoded = reader.decode(part.block(entry)?, self.header.seq_len, rows);
            decoded.map_err(|found| CacheError::damaged(part.path(), found))?;
        }
        Ok(())
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(super) fn order(&self) -> &IdOrder {
        &self.order
    }
}
