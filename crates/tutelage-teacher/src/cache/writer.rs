//! Writing a cache, part by part.

use std::path::Path;
use std::time::Duration;

use tutelage_data::{Batch, PackedSet, hash_ids};
use tutelage_run::{FileLock, StopFlag, create_folder, read_json, write_json};

use super::coding::Coding;
use super::collect::Row;
use super::order::IdOrder;
use super::part::{self, Block, Part, PartHeader};
use super::reader::{CacheReader, CacheStats};
use super::{CacheHeader, part::path};
use crate::CacheError;

/// Tokens of a part: what an interruption can cost.
const PART_TOKENS: usize = 1 << 16;
/// Tokens that go through the teacher at once.
const BATCH_TOKENS: usize = 1 << 12;
/// Tokens from which the order of ids is learned, and the largest share of all.
const ORDER_TOKENS: usize = 1 << 13;
const ORDER_SHARE: usize = 16;
/// Between two looks at what other writers have finished.
const PAUSE: Duration = Duration::from_millis(200);

/// What a cache is written from.
pub trait Source {
    /// Kept entries of every row of a batch, the same for the same sequence whatever else is in the batch.
    ///
    /// # Errors
    /// When the teacher cannot be asked.
    fn rows(&mut self, batch: &Batch) -> Result<Vec<Row>, CacheError>;
}

/// How writing ended.
#[derive(Debug)]
pub enum Outcome {
    /// All parts are there.
    Done(CacheStats),
    /// It was asked to stop; the parts so far are kept.
    Stopped,
}

/// Writes the kept entries for `sequences` of `set`; parts that are there already are kept. `progress` is told the tokens done.
///
/// Several processes may write one cache at once: each takes parts that no other has, and ends when all are there.
///
/// # Errors
/// When the folder holds a cache made for something else, the source fails, or a file cannot be written.
pub fn write(
    folder: &Path,
    header: &CacheHeader,
    source: &mut dyn Source,
    set: &PackedSet,
    sequences: &[usize],
    stop: &StopFlag,
    progress: &mut dyn FnMut(u64),
) -> Result<Outcome, CacheError> {
    create_folder(folder)?;
    let Some(order) = begin(folder, header, source, set, sequences, stop)? else { return Ok(Outcome::Stopped) };
    let writer = Writer { folder, header, order, set, stop };
    let parts: Vec<&[usize]> = sequences.chunks(sequences_per_part(header.seq_len)).collect();
    let mut whole = vec![false; parts.len()];
    loop {
        for (number, members) in parts.iter().enumerate() {
            if whole[number] {
                continue;
            }
            let Some(done) = writer.part(number, members, source)? else { return Ok(Outcome::Stopped) };
            whole[number] = done;
            let done = parts.iter().zip(&whole).filter(|(_, whole)| **whole).map(|(members, _)| members.len());
            progress((done.sum::<usize>() * set.seq_len()) as u64);
        }
        if whole.iter().all(|whole| *whole) {
            return Ok(Outcome::Done(CacheReader::open(folder, Some(header))?.stats()));
        }
        if stop.is_raised() {
            return Ok(Outcome::Stopped);
        }
        // The rest is being written by others; should one die, its lock goes with it.
        std::thread::sleep(PAUSE);
    }
}

pub(super) fn sequences_per_part(seq_len: usize) -> usize {
    (PART_TOKENS / seq_len.max(1)).max(1)
}

/// Sequences that go through the teacher at once.
fn batches<'s>(set: &'s PackedSet, sequences: &'s [usize]) -> impl Iterator<Item = Batch> + 's {
    sequences.chunks((BATCH_TOKENS / set.seq_len().max(1)).max(1)).map(|members| Batch::new(set, members))
}

/// Header and order of ids, which lie in the folder or are made by one of several writers; nothing if it was asked to stop.
fn begin(
    folder: &Path,
    header: &CacheHeader,
    source: &mut dyn Source,
    set: &PackedSet,
    sequences: &[usize],
    stop: &StopFlag,
) -> Result<Option<IdOrder>, CacheError> {
    let json = folder.join("cache.json");
    loop {
        if json.exists() {
            read_json::<CacheHeader>(&json)?.compare(header, folder)?;
            if let Some(order) = IdOrder::read(folder, header.vocab_size)? {
                return Ok(Some(order));
            }
        }
        if stop.is_raised() {
            return Ok(None);
        }
        let Some(lock) = FileLock::try_acquire(&folder.join("begin.claim"))? else {
            std::thread::sleep(PAUSE);
            continue;
        };
        if !json.exists() {
            write_json(&json, header)?;
        }
        if IdOrder::read(folder, header.vocab_size)?.is_none() {
            let Some(order) = learn_order(header, source, set, sequences, stop)? else { return Ok(None) };
            order.write(folder)?;
        }
        lock.remove()?;
    }
}

/// From a few sequences, spread evenly.
fn learn_order(
    header: &CacheHeader,
    source: &mut dyn Source,
    set: &PackedSet,
    sequences: &[usize],
    stop: &StopFlag,
) -> Result<Option<IdOrder>, CacheError> {
    let n = (ORDER_TOKENS / set.seq_len().max(1)).min(sequences.len() / ORDER_SHARE).max(1).min(sequences.len());
    let chosen: Vec<usize> = (0..n).map(|i| sequences[i * sequences.len() / n]).collect();
    let mut counts = vec![0; header.vocab_size];
    for batch in batches(set, &chosen) {
        if stop.is_raised() {
            return Ok(None);
        }
        for (id, _) in source.rows(&batch)?.iter().flatten() {
            counts[*id as usize] += 1;
        }
    }
    Ok(Some(IdOrder::new(&counts)))
}

struct Writer<'a> {
    folder: &'a Path,
    header: &'a CacheHeader,
    order: IdOrder,
    set: &'a PackedSet,
    stop: &'a StopFlag,
}

impl Writer<'_> {
    fn is_whole(&self, number: usize) -> bool {
        Part::open(&path(self.folder, number)).is_ok_and(|part| {
            (part.header.part, &part.header.cache, &part.header.order) == (number, self.header, self.order.hash())
        })
    }

    /// Whether the part is there now, and not another's work; nothing if it was asked to stop.
    fn part(&self, number: usize, members: &[usize], source: &mut dyn Source) -> Result<Option<bool>, CacheError> {
        if self.is_whole(number) {
            return Ok(Some(true));
        }
        if self.stop.is_raised() {
            return Ok(None);
        }
        let claim = self.folder.join(format!("part-{number:05}.claim"));
        let Some(lock) = FileLock::try_acquire(&claim)? else { return Ok(Some(false)) };
        // Another may have finished it between the look and the lock.
        let done = self.is_whole(number) || self.write_part(number, members, source)?;
        lock.remove()?;
        Ok(done.then_some(true))
    }

    /// Whether the part was finished.
    fn write_part(&self, number: usize, members: &[usize], source: &mut dyn Source) -> Result<bool, CacheError> {
        let mut sequences: Vec<(usize, u64, Vec<Row>)> = Vec::new();
        for batch in batches(self.set, members) {
            if self.stop.is_raised() {
                return Ok(false);
            }
            let mut rows = source.rows(&batch)?.into_iter();
            for (sequence, range) in &batch.sequences {
                let input_hash = hash_ids(&batch.ids[range.clone()]);
                sequences.push((*sequence, input_hash, rows.by_ref().take(range.len()).collect()));
            }
        }
        let rows = || sequences.iter().flat_map(|sequence| &sequence.2);
        let coding = Coding::learn(&self.header.kept, &self.order, rows());
        let blocks: Vec<Block> = sequences
            .iter()
            .map(|(sequence, input_hash, rows)| Block {
                sequence: *sequence,
                input_hash: *input_hash,
                bytes: coding.encode(&self.order, rows),
            })
            .collect();
        let tables = coding.write();
        let header = PartHeader {
            cache: self.header.clone(),
            order: self.order.hash().clone(),
            part: number,
            table_bytes: tables.len(),
            n_sequences: blocks.len(),
            n_tokens: rows().count() as u64,
            n_entries: rows().map(|row| row.len() as u64).sum(),
        };
        part::write(self.folder, &header, &tables, &blocks)?;
        Ok(true)
    }
}
