//! What becomes of one chunk: bytes to append, and counts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use tutelage_run::FileError;

use super::{At, Compression, DocumentStage, JobSettings};
use crate::input::Chunk;
use crate::record::Fault;
use crate::{Reason, Record};

/// What a stage counts beside documents.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<Cow<'static, str>, u64>);

impl Tally {
    /// Counts `n` of something.
    pub fn add(&mut self, name: &'static str, n: u64) {
        if n > 0 {
            *self.0.entry(Cow::Borrowed(name)).or_default() += n;
        }
    }

    /// Counts `n` of something whose name comes from settings.
    pub fn add_named(&mut self, name: String, n: u64) {
        *self.0.entry(Cow::Owned(name)).or_default() += n;
    }
}

/// One chunk's outcome.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) kept_bytes: Vec<u8>,
    pub(super) dropped_bytes: Vec<u8>,
    pub(super) read: u64,
    pub(super) kept: u64,
    pub(super) dropped: BTreeMap<Reason, u64>,
    pub(super) tally: Tally,
    pub(super) passed: BTreeMap<String, u64>,
    /// Place, reason and finding of the first damaged documents.
    pub(super) damaged: Vec<(u64, Fault)>,
}

/// Damaged documents of a unit whose places are kept.
pub(super) const DAMAGED_SHOWN: usize = 20;

impl Block {
    /// Takes every item of `chunk` through the stage. `first` is the number of its first document.
    pub(super) fn of<S: DocumentStage>(
        stage: &S,
        worker: &mut S::Worker,
        settings: &JobSettings,
        chunk: &Chunk,
        first: At,
    ) -> Self {
        let mut block = Self { passed: chunk.passed.clone(), ..Self::default() };
        for (item, index) in chunk.items.iter().zip(first.index..) {
            block.read += 1;
            let parsed = item.record(&chunk.bytes, &settings.text_field, settings.max_record_bytes);
            let parsed = if stage.needs_text() { parsed.and_then(Record::with_text) } else { parsed };
            match parsed {
                Err(fault) => block.damage(settings, item.place, fault),
                Ok(mut record) => {
                    block.tally.add("repaired_surrogates", u64::from(record.is_repaired()));
                    let at = At { index, ..first };
                    match stage.apply(worker, &mut record, at, &mut block.tally) {
                        Ok(()) => {
                            block.kept += 1;
                            stage.write(worker, &record, at, &mut block.kept_bytes);
                        }
                        Err(reason) => block.drop_record(settings, record, reason),
                    }
                }
            }
        }
        block
    }

    fn damage(&mut self, settings: &JobSettings, place: u64, fault: Fault) {
        *self.dropped.entry(fault.reason).or_default() += 1;
        if !fault.reason.is_damage() {
            return;
        }
        if settings.keep_dropped {
            let line = serde_json::json!({ "dropped": fault.reason.to_string(), "place": place, "found": fault.found });
            self.dropped_bytes.extend_from_slice(line.to_string().as_bytes());
            self.dropped_bytes.push(b'\n');
        }
        if self.damaged.len() < DAMAGED_SHOWN {
            self.damaged.push((place, fault));
        }
    }

    fn drop_record(&mut self, settings: &JobSettings, mut record: Record, reason: Reason) {
        *self.dropped.entry(reason).or_default() += 1;
        if settings.keep_dropped {
            record.set("dropped", &reason.to_string());
            record.write(&mut self.dropped_bytes);
        }
    }

    /// Compresses what is to be appended, so that threads do it side by side.
    pub(super) fn packed(mut self, compression: Compression) -> Result<Self, FileError> {
        if compression == Compression::None {
            return Ok(self);
        }
        for bytes in [&mut self.kept_bytes, &mut self.dropped_bytes].into_iter().filter(|bytes| !bytes.is_empty()) {
            *bytes = pack(bytes, compression).map_err(FileError::io("compress", Path::new("documents")))?;
        }
        Ok(self)
    }

    /// Its counts, by name.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        let tally = self.tally.0.iter().map(|(name, count)| (&**name, *count));
        tally.chain(self.passed.iter().map(|(name, count)| (&name[..], *count)))
    }
}

fn pack(bytes: &[u8], compression: Compression) -> std::io::Result<Vec<u8>> {
    match compression {
        Compression::None => Ok(bytes.to_vec()),
        Compression::Gz => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(bytes)?;
            encoder.finish()
        }
        Compression::Zst => zstd::bulk::compress(bytes, 3),
    }
}
