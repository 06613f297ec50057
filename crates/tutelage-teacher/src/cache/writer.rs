//! Writing a cache, part by part.

use std::path::Path;

use tutelage_data::{Batch, PackedSet, hash_ids};
use tutelage_model::{Decoder, Input};
use tutelage_run::{StopFlag, create_folder, write_json};

use super::block::Coding;
use super::collect::{Row, collect};
use super::part::{self, Block, Part, PartHeader};
use super::reader::{CacheReader, CacheStats};
use super::{CacheHeader, part::path};
use crate::CacheError;

/// Tokens of a part: what an interruption can cost.
const PART_TOKENS: usize = 1 << 16;
/// Tokens that go through the teacher at once.
const BATCH_TOKENS: usize = 1 << 12;

/// How writing ended.
#[derive(Debug)]
pub enum Outcome {
    /// All parts are there.
    Done(CacheStats),
    /// It was asked to stop; the parts so far are kept.
    Stopped,
}

/// Writes the teacher's kept entries for `sequences` of `set`; parts that are there already are kept.
/// `progress` is told the tokens done.
///
/// # Errors
/// When the folder holds a cache made for something else, or a file cannot be written.
pub fn write(
    folder: &Path,
    header: &CacheHeader,
    teacher: &Decoder,
    set: &PackedSet,
    sequences: &[usize],
    stop: &StopFlag,
    progress: &mut dyn FnMut(u64),
) -> Result<Outcome, CacheError> {
    create_folder(folder)?;
    let json = folder.join("cache.json");
    if json.exists() {
        tutelage_run::read_json::<CacheHeader>(&json)?.compare(header, folder)?;
    }
    write_json(&json, header)?;
    let per_part = sequences_per_part(header.seq_len);
    let mut done = 0;
    for (number, members) in sequences.chunks(per_part).enumerate() {
        if !is_whole(folder, number, header) && !write_part(folder, header, teacher, set, (number, members), stop)? {
            return Ok(Outcome::Stopped);
        }
        done += (members.len() * set.seq_len()) as u64;
        progress(done);
    }
    Ok(Outcome::Done(CacheReader::open(folder, Some(header))?.stats()))
}

pub(super) fn sequences_per_part(seq_len: usize) -> usize {
    (PART_TOKENS / seq_len).max(1)
}

fn is_whole(folder: &Path, number: usize, header: &CacheHeader) -> bool {
    Part::open(&path(folder, number)).is_ok_and(|part| part.header.part == number && part.header.cache == *header)
}

/// Whether the part was finished.
fn write_part(
    folder: &Path,
    header: &CacheHeader,
    teacher: &Decoder,
    set: &PackedSet,
    (number, members): (usize, &[usize]),
    stop: &StopFlag,
) -> Result<bool, CacheError> {
    let coding = Coding::new(header);
    let mut out = PartHeader { cache: header.clone(), part: number, n_sequences: 0, n_tokens: 0, n_entries: 0 };
    let mut blocks = Vec::new();
    for members in members.chunks((BATCH_TOKENS / set.seq_len()).max(1)) {
        if stop.is_raised() {
            return Ok(false);
        }
        let batch = Batch::new(set, members);
        let places: Vec<(usize, usize)> =
            batch.sequences.iter().flat_map(|(sequence, rows)| (0..rows.len()).map(|row| (*sequence, row))).collect();
        let input = Input { ids: &batch.ids, positions: &batch.positions, documents: &batch.documents };
        let rows: Vec<Row> = collect(teacher, input, &places, &header.kept);
        for (sequence, range) in &batch.sequences {
            let rows = &rows[range.clone()];
            out.n_entries += rows.iter().map(|row| row.len() as u64).sum::<u64>();
            out.n_tokens += rows.len() as u64;
            let input_hash = hash_ids(&batch.ids[range.clone()]);
            blocks.push(Block { sequence: *sequence, input_hash, bytes: coding.encode(rows) });
        }
    }
    out.n_sequences = blocks.len();
    part::write(folder, &out, &blocks)?;
    Ok(true)
}
