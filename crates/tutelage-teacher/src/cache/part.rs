//! One part: a file that can be checked and used by itself.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tutelage_run::{Hash, MappedFile, write_atomic};

use super::CacheHeader;
use super::coding::Coding;
use crate::CacheError;

const MAGIC: &[u8; 8] = b"TTCACHE2";
const ENTRY: usize = 32;

/// The cache's header with the part's own numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PartHeader {
    pub(super) cache: CacheHeader,
    /// Hash of the order of ids.
    pub(super) order: Hash,
    /// Number of the part.
    pub(super) part: usize,
    /// Bytes of its tables of frequencies.
    pub(super) table_bytes: usize,
    /// Sequences in it.
    pub(super) n_sequences: usize,
    /// Tokens in it.
    pub(super) n_tokens: u64,
    /// Kept entries in it.
    pub(super) n_entries: u64,
}

/// A sequence to be written.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) sequence: usize,
    pub(super) input_hash: u64,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn path(folder: &Path, part: usize) -> PathBuf {
    folder.join(format!("part-{part:05}.ttc"))
}

pub(super) fn write(folder: &Path, header: &PartHeader, tables: &[u8], blocks: &[Block]) -> Result<(), CacheError> {
    let path = path(folder, header.part);
    let json = serde_json::to_vec(header)
        .map_err(|error| tutelage_run::FileError::content(&path, format!("header: {error}")))?;
    let mut out = MAGIC.to_vec();
    out.extend((json.len() as u32).to_le_bytes());
    out.extend(json);
    out.extend(tables);
    let mut offset = (out.len() + blocks.len() * ENTRY + 4) as u64;
    for block in blocks {
        out.extend((block.sequence as u64).to_le_bytes());
        out.extend(block.input_hash.to_le_bytes());
        out.extend(offset.to_le_bytes());
        out.extend((block.bytes.len() as u32).to_le_bytes());
        out.extend(crc32c::crc32c(&block.bytes).to_le_bytes());
        offset += block.bytes.len() as u64;
    }
    let crc = crc32c::crc32c(&out);
    out.extend(crc.to_le_bytes());
    blocks.iter().for_each(|block| out.extend(&block.bytes));
    Ok(write_atomic(&path, &out)?)
}

/// A part, mapped, its header and index verified.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) header: PartHeader,
    file: MappedFile,
    tables: Range<usize>,
    index: Range<usize>,
}

/// Where a sequence lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) sequence: usize,
    pub(super) input_hash: u64,
    offset: u64,
    len: u32,
    crc: u32,
}

impl Part {
    pub(super) fn open(path: &Path) -> Result<Self, CacheError> {
        let file = MappedFile::open(path)?;
        let damaged = |found: &str| CacheError::damaged(path, found);
        let bytes = file.bytes();
        if bytes.len() < 12 || &bytes[..8] != MAGIC {
            return Err(damaged("it does not begin as a part of a cache"));
        }
        let json_end = 12 + u32_at(bytes, 8) as usize;
        let json = bytes.get(12..json_end).ok_or_else(|| damaged("it ends inside its header"))?;
        let header: PartHeader =
            serde_json::from_slice(json).map_err(|error| damaged(&format!("its header: {error}")))?;
        let index_start = json_end.checked_add(header.table_bytes);
        let index_end = index_start.and_then(|n| header.n_sequences.checked_mul(ENTRY)?.checked_add(n));
        let index_end = index_end.filter(|end| end.checked_add(4).is_some_and(|end| end <= bytes.len()));
        let (Some(index_start), Some(index_end)) = (index_start, index_end) else {
            return Err(damaged("it ends inside its index"));
        };
        if crc32c::crc32c(&bytes[..index_end]) != u32_at(bytes, index_end) {
            return Err(damaged("the checksum of its header and index is wrong"));
        }
        let part = Self { header, tables: json_end..index_start, index: index_start..index_end, file };
        let end = part.entries().last().map_or(index_end as u64 + 4, |e| e.offset + u64::from(e.len));
        if end != part.file.bytes().len() as u64 {
            return Err(damaged(&format!("it has {} bytes where {end} were written", part.file.bytes().len())));
        }
        Ok(part)
    }

    pub(super) fn entries(&self) -> impl ExactSizeIterator<Item = Entry> + '_ {
        self.file.bytes()[self.index.clone()].as_chunks::<ENTRY>().0.iter().map(|e| Entry {
            sequence: u64_at(e, 0) as usize,
            input_hash: u64_at(e, 8),
            offset: u64_at(e, 16),
            len: u32_at(e, 24),
            crc: u32_at(e, 28),
        })
    }

    /// Its frequencies.
    pub(super) fn coding(&self) -> Result<Coding, CacheError> {
        let tables = &self.file.bytes()[self.tables.clone()];
        Coding::read(&self.header.cache.kept, tables)
            .ok_or_else(|| CacheError::damaged(self.file.path(), "its tables of frequencies are none"))
    }

    /// The bytes of a block, verified.
    pub(super) fn block(&self, entry: Entry) -> Result<&[u8], CacheError> {
        let start = entry.offset as usize;
        let bytes = self.file.bytes().get(start..start + entry.len as usize).unwrap_or_default();
        if crc32c::crc32c(bytes) != entry.crc {
            let found = format!("the checksum of sequence {} is wrong", entry.sequence);
            return Err(CacheError::damaged(self.file.path(), found));
        }
        Ok(bytes)
    }

    pub(super) fn n_bytes(&self) -> u64 {
        self.file.bytes().len() as u64
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
