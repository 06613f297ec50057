//! The settings of deduplication.

use serde::{Deserialize, Serialize};

use super::bands::Bands;
use crate::CorpusError;

/// Settings of the stage `dedup`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DedupSettings {
    /// What makes two documents copies.
    pub method: DedupMethod,
    /// Words of a shingle.
    pub n_gram: usize,
    /// Hash functions, at most.
    pub hashes: usize,
    /// Jaccard similarity of shingles from which on documents are likely to be found.
    pub threshold: f64,
    /// Bands; with `rows`, in place of those that follow from the threshold.
    pub bands: Option<usize>,
    /// Rows of a band.
    pub rows: Option<usize>,
    /// Which of several copies is kept.
    pub keep: Keep,
    /// Field of the document, or of its `meta`, that holds when it was crawled.
    pub date_field: String,
    /// Whether a kept document gets the field `copies`: how many documents its cluster had.
    pub note_copies: bool,
    /// Of the hash functions.
    pub seed: u64,
    /// Memory for the sorting of bands, beside 4 bytes a document and the clusters; for substrings what all texts at once may take.
    pub memory_bytes: usize,
    /// With `method = "substring"`: bytes of a run that is cut where it stands a second time.
    pub min_bytes: usize,
    /// With `method = "substring"`: characters that are left, at least, of a document that was cut and is kept.
    pub min_left_chars: usize,
}

/// `method`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DedupMethod {
    /// Much the same words in much the same order: MinHash with locality-sensitive hashing.
    Minhash,
    /// The same text.
    Exact,
    /// Runs of bytes in the middle of texts, by a suffix array: they are cut out.
    Substring,
}

/// `keep`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The one with the latest date; of several the first.
    Newest,
    /// The first in the order of the inputs.
    First,
    /// The longest; of several the first.
    Longest,
}

impl Default for DedupSettings {
    /// InternLM2's: 128 hashes over 5-grams, threshold 0.7, the newest kept (2403.17297, 3.1.2).
    fn default() -> Self {
        Self {
            method: DedupMethod::Minhash,
            n_gram: 5,
            hashes: 128,
            threshold: 0.7,
            bands: None,
            rows: None,
            keep: Keep::Newest,
            date_field: "date".to_owned(),
            note_copies: false,
            seed: 1,
            memory_bytes: 1 << 30,
            min_bytes: 200,
            min_left_chars: 50,
        }
    }
}

/// Most hash functions that can be asked for.
const MAX_HASHES: usize = 4096;

impl DedupSettings {
    /// Whether every setting that differs from its default is one of the method's.
    ///
    /// # Errors
    /// When one is not, or cannot be.
    pub fn check(&self) -> Result<(), CorpusError> {
        use DedupMethod::{Exact, Minhash, Substring};
        let plain = Self::default();
        #[allow(clippy::float_cmp, reason = "whether it was given, not how far it is off")]
        let changed = [
            ("n_gram", self.n_gram != plain.n_gram, &[Minhash][..]),
            ("hashes", self.hashes != plain.hashes, &[Minhash]),
            ("threshold", self.threshold != plain.threshold, &[Minhash]),
            ("bands", self.bands.is_some(), &[Minhash]),
            ("rows", self.rows.is_some(), &[Minhash]),
            ("seed", self.seed != plain.seed, &[Minhash]),
            ("keep", self.keep != plain.keep, &[Minhash, Exact]),
            ("date_field", self.date_field != plain.date_field, &[Minhash, Exact]),
            ("note_copies", self.note_copies, &[Minhash, Exact]),
            ("min_bytes", self.min_bytes != plain.min_bytes, &[Substring]),
            ("min_left_chars", self.min_left_chars != plain.min_left_chars, &[Substring]),
        ];
        if let Some((name, ..)) =
            changed.iter().find(|(_, changed, methods)| *changed && !methods.contains(&self.method))
        {
            let method = serde_json::to_value(self.method).unwrap_or_default();
            return Err(CorpusError::request(format!("{name} is no setting of method = {method}: leave it out")));
        }
        if self.method == Substring && !(8..=1 << 20).contains(&self.min_bytes) {
            let found = format!("min_bytes = {}: expected 8 to 1048576", self.min_bytes);
            return Err(CorpusError::request(found));
        }
        Ok(())
    }

    /// The bands, which settings give or the threshold does.
    ///
    /// # Errors
    /// When a setting cannot be.
    pub fn resolved_bands(&self) -> Result<Bands, CorpusError> {
        let wrong = |found: String| Err(CorpusError::request(found));
        if !(self.threshold > 0.0 && self.threshold < 1.0) {
            return wrong(format!("threshold = {}: expected a number between 0 and 1, such as 0.7", self.threshold));
        }
        if !(1..=MAX_HASHES).contains(&self.hashes) {
            return wrong(format!("hashes = {}: expected 1 to {MAX_HASHES}", self.hashes));
        }
        if !(1..=64).contains(&self.n_gram) {
            return wrong(format!("n_gram = {}: expected 1 to 64 words", self.n_gram));
        }
        match (self.bands, self.rows) {
            (None, None) => Ok(Bands::for_threshold(self.threshold, self.hashes)),
            (Some(bands), Some(rows)) if bands > 0 && rows > 0 && bands * rows <= self.hashes => {
                Ok(Bands { bands, rows })
            }
            (Some(bands), Some(rows)) => {
                let most = self.hashes;
                wrong(format!("bands = {bands}, rows = {rows}: their product is to be 1 to 'hashes', which is {most}"))
            }
            _ => wrong("give bands and rows together, or neither".to_owned()),
        }
    }
}
