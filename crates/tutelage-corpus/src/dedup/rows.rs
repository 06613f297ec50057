//! What is kept of each document between the two passes: a row of keys in a file.

use super::bands::Bands;
use super::minhash::MinHash;
use super::shingles::Shingles;
use super::{DedupSettings, Keep};
use crate::job::{At, DocumentStage, Tally, value_of};
use crate::{CorpusError, Reason, Record};

/// The first pass: documents become rows. A row is the document's number in its unit (u64), its rank among copies (u64; the
/// highest is kept), and its keys (u64 each), all little-endian.
#[derive(Debug)]
pub(super) struct Rows<'s> {
    pub(super) settings: &'s DedupSettings,
    pub(super) keyed: Keyed,
    bands: Bands,
    minhash: MinHash,
}

/// What a document's keys are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyed {
    /// Bands of its MinHash signature: documents that share one are joined.
    ByBands,
    /// Its text: two keys that are one number, which documents share whole.
    ByText,
}

/// Memory of one thread.
#[derive(Debug, Default)]
pub(super) struct RowsWorker {
    shingles: Shingles,
    signature: Vec<u32>,
    rank: u64,
    keys: Vec<u64>,
}

impl<'s> Rows<'s> {
    pub(super) fn new(settings: &'s DedupSettings, keyed: Keyed) -> Result<Self, CorpusError> {
        let bands = settings.resolved_bands()?;
        Ok(Self { settings, keyed, bands, minhash: MinHash::new(bands.bands * bands.rows, settings.seed) })
    }

    /// Keys of a document.
    pub(super) fn n_keys(&self) -> usize {
        match self.keyed {
            Keyed::ByBands => self.bands.bands,
            Keyed::ByText => 2,
        }
    }

    /// Bytes of a row.
    pub(super) fn row_bytes(&self) -> usize {
        8 * (2 + self.n_keys())
    }

    fn rank(&self, record: &Record, tally: &mut Tally) -> u64 {
        match self.settings.keep {
            Keep::First => 0,
            Keep::Longest => record.text.len() as u64,
            Keep::Newest => {
                let seconds = record.string(&self.settings.date_field).and_then(|date| super::date::seconds(&date));
                tally.add("dedup_documents_without_date", u64::from(seconds.is_none()));
                // The order of signed numbers, above "no date".
                seconds.map_or(0, |seconds| (seconds as u64 ^ 1 << 63).max(1))
            }
        }
    }
}

impl DocumentStage for Rows<'_> {
    type Worker = RowsWorker;

    fn name(&self) -> &'static str {
        "dedup: signatures"
    }

    /// The settings, and what follows from them.
    fn settings(&self) -> serde_json::Value {
        let mut all = value_of(self.settings);
        all["bands"] = self.bands.bands.into();
        all["rows"] = self.bands.rows.into();
        if self.keyed == Keyed::ByBands {
            all["probability"] = self.bands.curve().into_iter().map(|(s, p)| serde_json::json!([s, p])).collect();
        }
        // How much memory sorting may take changes nothing of what comes out.
        if let Some(map) = all.as_object_mut() {
            map.remove("memory_bytes");
            // These are of substrings.
            map.remove("min_bytes");
            map.remove("min_left_chars");
        }
        all
    }

    fn worker(&self) -> RowsWorker {
        RowsWorker::default()
    }

    fn ending(&self) -> &'static str {
        ".rows"
    }

    fn apply(&self, worker: &mut RowsWorker, record: &mut Record, _: At, tally: &mut Tally) -> Result<(), Reason> {
        worker.rank = self.rank(record, tally);
        worker.keys.clear();
        match self.keyed {
            Keyed::ByText => {
                let hash = twox_hash::XxHash3_128::oneshot(record.text.as_bytes());
                worker.keys.extend([hash as u64, (hash >> 64) as u64]);
            }
            Keyed::ByBands => {
                let shingles = worker.shingles.of(&record.text, self.settings.n_gram);
                // What has no words is no copy of anything.
                if shingles.is_empty() {
                    return Err(Reason::Empty);
                }
                self.minhash.signature(shingles, &mut worker.signature);
                worker.keys.extend(worker.signature.chunks_exact(self.bands.rows).map(|band| {
                    band.iter().fold(band.len() as u64, |all, &value| {
                        let all = (all.rotate_left(13) ^ u64::from(value)).wrapping_mul(0x9fb2_1c65_1e98_df25);
                        all ^ all >> 29
                    })
                }));
            }
        }
        Ok(())
    }

    fn write(&self, worker: &mut RowsWorker, _: &Record, at: At, out: &mut Vec<u8>) {
        for number in [at.index, worker.rank].iter().chain(&worker.keys) {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}
