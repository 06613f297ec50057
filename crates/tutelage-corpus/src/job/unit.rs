//! One unit at work: its source, and its outputs, to which blocks are appended in order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tutelage_run::{AppendedFile, ContentHasher, FileError, Hash, create_folder, rename};

use super::block::{Block, DAMAGED_SHOWN};
use super::ledger::UnitRecord;
use super::{At, Job};
use crate::CorpusError;
use crate::input::{Chunk, Source, Unit, Watch, open};
use crate::manifest::{Damage, InputRecord, OutputRecord};

/// What is read next.
pub(super) struct Reading {
    source: Box<dyn Source>,
    number: u32,
    /// Of the next chunk.
    sequence: u64,
    index: u64,
    ended: bool,
}

impl Reading {
    /// Opens the unit and passes what is done.
    pub(super) fn open(
        job: &Job<'_>,
        unit: &Unit,
        number: u32,
        done: u64,
        watch: &Arc<Watch>,
    ) -> Result<Self, CorpusError> {
        let source = open(unit, job.settings.max_record_bytes, watch)?;
        let mut reading = Self { source, number, sequence: 0, index: 0, ended: false };
        while reading.sequence < done {
            if reading.next()?.is_none() {
                let found = format!("is shorter than when the stage was begun, {done} chunks ago");
                return Err(FileError::content(&unit.files[0], found).into());
            }
        }
        Ok(reading)
    }

    /// The next chunk, its number, and where its first document stands.
    pub(super) fn next(&mut self) -> Result<Option<(Chunk, u64, At)>, CorpusError> {
        if self.ended {
            return Ok(None);
        }
        let mut chunk = Chunk::default();
        self.source.fill(&mut chunk)?;
        if chunk.items.is_empty() && chunk.passed.is_empty() {
            self.ended = true;
            self.source.drain()?;
            return Ok(None);
        }
        let at = At { unit: self.number, index: self.index };
        let sequence = self.sequence;
        self.sequence += 1;
        self.index += chunk.items.len() as u64;
        Ok(Some((chunk, sequence, at)))
    }

    /// How many chunks there are, once that is known.
    pub(super) fn ended_after(&self) -> Option<u64> {
        self.ended.then_some(self.sequence)
    }
}

/// What is written, in order.
pub(super) struct Writing {
    work: PathBuf,
    out: PathBuf,
    number: u32,
    file: String,
    keep_dropped: bool,
    outputs: Option<[AppendedFile; 2]>,
    /// Of what was kept.
    hasher: ContentHasher,
    pub(super) record: UnitRecord,
    /// Of the next block.
    next: u64,
    waiting: BTreeMap<u64, Block>,
    commit_every: Duration,
    committed: Instant,
    uncommitted: u64,
}

/// Bytes after which what is appended is made durable, however short ago that was done.
const COMMIT_BYTES: u64 = 256 << 20;

impl Writing {
    pub(super) fn open(
        job: &Job<'_>,
        ending: &str,
        unit: &Unit,
        number: u32,
        work: &Path,
    ) -> Result<Self, CorpusError> {
        let record = UnitRecord::read(work, number)?;
        let file = format!("{number:05}-{}{ending}{}", stem(unit), job.settings.compression.ending());
        let keep_dropped = job.settings.keep_dropped;
        let mut writing = Self {
            work: work.to_path_buf(),
            out: job.out.to_path_buf(),
            number,
            file,
            keep_dropped,
            outputs: None,
            hasher: ContentHasher::default(),
            next: record.chunks,
            record,
            waiting: BTreeMap::new(),
            commit_every: job.commit_every,
            committed: Instant::now(),
            uncommitted: 0,
        };
        if writing.record.is_done() {
            writing.publish()?;
        } else {
            let [kept, dropped] = writing.record.bytes;
            let path = writing.work_path(false);
            writing.outputs =
                Some([AppendedFile::open_at(&path, kept)?, AppendedFile::open_at(&writing.work_path(true), dropped)?]);
            writing.hasher = ContentHasher::of_file(&path)?;
        }
        Ok(writing)
    }

    fn work_path(&self, dropped: bool) -> PathBuf {
        self.work.join(format!("{}{}", if dropped { "dropped-" } else { "" }, self.file))
    }

    /// Takes a block, and appends what is due. Blocks come in any order.
    pub(super) fn take(&mut self, sequence: u64, block: Block) -> Result<(), CorpusError> {
        self.waiting.insert(sequence, block);
        while let Some(block) = self.waiting.remove(&self.next) {
            self.append(block)?;
            self.next += 1;
        }
        if self.uncommitted >= COMMIT_BYTES || self.committed.elapsed() >= self.commit_every {
            self.commit()?;
        }
        Ok(())
    }

    /// How many blocks are appended.
    pub(super) fn appended(&self) -> u64 {
        self.next
    }

    fn append(&mut self, block: Block) -> Result<(), CorpusError> {
        let Some([kept, dropped]) = &mut self.outputs else { return Ok(()) };
        kept.append(&block.kept_bytes)?;
        self.hasher.update(&block.kept_bytes);
        dropped.append(&block.dropped_bytes)?;
        self.uncommitted += (block.kept_bytes.len() + block.dropped_bytes.len()) as u64;
        let record = &mut self.record;
        record.read += block.read;
        record.kept += block.kept;
        for (reason, count) in &block.dropped {
            *record.dropped.entry(reason.to_string()).or_default() += count;
        }
        for (name, count) in block.counts() {
            *record.counts.entry(name.to_owned()).or_default() += count;
        }
        let room = DAMAGED_SHOWN.saturating_sub(record.damaged.len());
        record.damaged.extend(block.damaged.into_iter().take(room).map(|(place, fault)| Damage {
            file: String::new(),
            place,
            reason: fault.reason.to_string(),
            found: fault.found,
        }));
        Ok(())
    }

    /// Makes what is appended durable.
    pub(super) fn commit(&mut self) -> Result<(), CorpusError> {
        let Some([kept, dropped]) = &mut self.outputs else { return Ok(()) };
        self.record.bytes = [kept.sync()?, dropped.sync()?];
        self.record.chunks = self.next;
        self.record.write(&self.work, self.number)?;
        (self.committed, self.uncommitted) = (Instant::now(), 0);
        Ok(())
    }

    /// Ends the unit: the whole input was read, and every block of it is appended.
    pub(super) fn finish(&mut self, unit: &Unit, bytes: u64, hash: Hash) -> Result<(), CorpusError> {
        unit.is_as_expected(&hash)?;
        self.commit()?;
        let output = OutputRecord {
            file: self.file.clone(),
            documents: 0,
            bytes: self.record.bytes[0],
            hash: self.hasher.finish(),
        };
        let files = unit.files.len() as u64;
        self.record.input = Some(InputRecord { file: unit.name.clone(), files, bytes, hash, read: 0 });
        self.record.damaged.iter_mut().for_each(|damage| damage.file.clone_from(&unit.name));
        self.record.output = Some(output);
        self.outputs = None;
        self.record.write(&self.work, self.number)?;
        self.publish()
    }

    /// Gives the outputs of a unit that is done their names, unless they have them.
    fn publish(&self) -> Result<(), CorpusError> {
        let mut moves = vec![(self.work_path(false), self.out.join(&self.file))];
        if self.keep_dropped {
            let folder = self.out.join("dropped");
            create_folder(&folder)?;
            moves.push((self.work_path(true), folder.join(&self.file)));
        }
        for (from, to) in moves {
            if from.exists() {
                rename(&from, &to)?;
            }
        }
        Ok(())
    }
}

/// What an output is called after.
fn stem(unit: &Unit) -> String {
    let path = &unit.files[0];
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = unit.files.len() > 1;
    let of = if folder { unit.root.file_name().map_or(name.clone(), |name| name.to_string_lossy()) } else { name };
    let stem = of.strip_suffix(".gz").or_else(|| of.strip_suffix(".zst")).unwrap_or(&of);
    let stem = if folder { stem } else { stem.rsplit_once('.').map_or(stem, |(stem, _)| stem) };
    // Numbers of stages before do not pile up.
    let stem = match stem.split_once('-') {
        Some((number, rest)) if number.len() == 5 && number.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => stem,
    };
    stem.chars().map(|c| if c.is_alphanumeric() || "_-.".contains(c) { c } else { '_' }).take(80).collect()
}
