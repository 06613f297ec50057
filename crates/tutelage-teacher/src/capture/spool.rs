//! The documents of one Parquet file, so that each can be read alone.
//!
//! A capture is in an order of its own (DistillKit shuffles), and a row group must be decoded from its beginning. So its documents are
//! laid out once in a file of their own beside the cache, as packed as they are, and that file goes when the cache is whole.
//!
//! Little-endian: magic; hash of what it was made of and for; blocks, each the ids of a document and then its rows of each column; an
//! [`Entry`] a block; CRC-32C of the entries (u32); their number (u64).

use std::ops::Range;
use std::path::{Path, PathBuf};

use tutelage_run::{AtomicFile, Hash, MappedFile, StopFlag};

use super::coding::Coding;
use super::files::CaptureFile;
use super::record::Record;
use crate::CacheError;

const MAGIC: &[u8; 8] = b"TTSPOOL1";
/// Most columns of a coding.
const COLUMNS: usize = 3;
/// Bytes of an entry.
const ENTRY: usize = 32;

/// Where a document lies.
#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: u64,
    n_ids: u32,
    n_rows: u32,
    /// Bytes of a row in each column.
    widths: [u32; COLUMNS],
    crc: u32,
}

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY] {
        let mut out = [0; ENTRY];
        out[..8].copy_from_slice(&self.offset.to_le_bytes());
        let rest = [self.n_ids, self.n_rows, self.widths[0], self.widths[1], self.widths[2], self.crc];
        for (to, from) in out[8..].chunks_exact_mut(4).zip(rest) {
            to.copy_from_slice(&from.to_le_bytes());
        }
        out
    }

    fn from_bytes(bytes: &[u8; ENTRY]) -> Self {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let offset = u64::from(word(0)) | u64::from(word(4)) << 32;
        Self { offset, n_ids: word(8), n_rows: word(12), widths: [word(16), word(20), word(24)], crc: word(28) }
    }

    fn bytes(&self) -> usize {
        let row: u64 = self.widths.iter().map(|&width| u64::from(width)).sum();
        4 * self.n_ids as usize + (u64::from(self.n_rows) * row) as usize
    }
}

/// Where the documents of file `number` are laid out.
pub(super) fn path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("capture-{number:05}.spool"))
}

/// What such a file begins with.
fn head(of: &Hash) -> Vec<u8> {
    [&MAGIC[..], of.to_string().as_bytes()].concat()
}

/// Writes the documents of `file` whose ids are `wanted`; false if it was asked to stop. `of` stands for the capture and for what is wanted.
pub(super) fn write(
    (path, of): (&Path, &Hash),
    file: &CaptureFile,
    coding: &Coding,
    wanted: &dyn Fn(&[i32]) -> bool,
    stop: &StopFlag,
) -> Result<bool, CacheError> {
    let mut out = AtomicFile::create(path)?;
    out.write(&head(of))?;
    let mut offset = head(of).len() as u64;
    let mut entries = Vec::new();
    let mut stopped = false;
    file.records(coding, &mut |record: Record| {
        stopped = stop.is_raised();
        for ids in record.documents().map_err(|found| file.fault(found))? {
            if !wanted(&record.ids[ids.clone()]) {
                continue;
            }
            let (entry, block) = block(&record, ids, offset);
            out.write(&block)?;
            offset += block.len() as u64;
            entries.push(entry);
        }
        Ok(!stopped)
    })?;
    if stopped {
        return Ok(false);
    }
    let table: Vec<u8> = entries.iter().flat_map(|entry| entry.to_bytes()).collect();
    out.write(&table)?;
    out.write(&crc32c::crc32c(&table).to_le_bytes())?;
    out.write(&(entries.len() as u64).to_le_bytes())?;
    out.commit()?;
    Ok(true)
}

fn block(record: &Record, ids: Range<usize>, offset: u64) -> (Entry, Vec<u8>) {
    let rows = record.rows(ids.clone());
    let mut block: Vec<u8> = record.ids[ids.clone()].iter().flat_map(|id| id.to_le_bytes()).collect();
    let mut widths = [0; COLUMNS];
    for (width, cells) in widths.iter_mut().zip(&record.columns) {
        block.extend(cells.rows(rows.clone()));
        *width = cells.width() as u32;
    }
    let crc = crc32c::crc32c(&block);
    (Entry { offset, n_ids: ids.len() as u32, n_rows: rows.len() as u32, widths, crc }, block)
}

/// Such a file, open.
#[derive(Debug)]
pub(super) struct Spool {
    file: MappedFile,
    path: PathBuf,
    entries: Vec<Entry>,
}

/// A document of it.
pub(super) struct Spooled<'a> {
    pub(super) ids: Vec<i32>,
    block: &'a [u8],
    entry: Entry,
}

impl Spooled<'_> {
    pub(super) fn n_rows(&self) -> usize {
        self.entry.n_rows as usize
    }

    /// Its part of each column, for one row.
    pub(super) fn row(&self, row: usize) -> [&[u8]; COLUMNS] {
        let mut start = 4 * self.ids.len();
        self.entry.widths.map(|width| {
            let width = width as usize;
            let at = start + row * width;
            start += self.n_rows() * width;
            &self.block[at..at + width]
        })
    }
}

impl Spool {
    /// Opens one that is whole; nothing if there is none, or it was made of or for something else.
    pub(super) fn open(path: &Path, of: &Hash) -> Result<Option<Self>, CacheError> {
        if !path.exists() {
            return Ok(None);
        }
        let file = MappedFile::open(path)?;
        let head = head(of);
        if file.bytes().get(MAGIC.len()..head.len()).is_some_and(|found| found != &head[MAGIC.len()..]) {
            return Ok(None);
        }
        let entries =
            entries(file.bytes()).ok_or_else(|| CacheError::damaged(path, "its table of documents is not whole"))?;
        Ok(Some(Self { file, path: path.to_path_buf(), entries }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn n_documents(&self) -> usize {
        self.entries.len()
    }

    /// One document, whose checksum is compared.
    pub(super) fn document(&self, number: usize) -> Result<Spooled<'_>, CacheError> {
        let entry = self.entries[number];
        let start = entry.offset as usize;
        let block = &self.file.bytes()[start..start + entry.bytes()];
        if crc32c::crc32c(block) != entry.crc {
            return Err(CacheError::damaged(&self.path, format!("the checksum of document {number} is wrong")));
        }
        let ids = block[..4 * entry.n_ids as usize].as_chunks::<4>().0.iter().map(|id| i32::from_le_bytes(*id));
        Ok(Spooled { ids: ids.collect(), block, entry })
    }
}

/// The table at the end, if it is what was written.
fn entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    let (rest, n) = bytes.strip_prefix(MAGIC).and(Some(bytes))?.split_last_chunk::<8>()?;
    let (rest, crc) = rest.split_last_chunk::<4>()?;
    let length = usize::try_from(u64::from_le_bytes(*n)).ok()?.checked_mul(ENTRY)?;
    let (blocks, table) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
    let entries: Vec<Entry> = table.as_chunks::<ENTRY>().0.iter().map(Entry::from_bytes).collect();
    let is_inside =
        |entry: &Entry| entry.offset.checked_add(entry.bytes() as u64).is_some_and(|end| end <= blocks.len() as u64);
    (crc32c::crc32c(table) == u32::from_le_bytes(*crc) && entries.iter().all(is_inside)).then_some(entries)
}
