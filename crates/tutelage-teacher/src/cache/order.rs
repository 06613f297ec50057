//! Ids in the order of how often a teacher keeps them, so that small numbers are likely.
//!
//! It is learned from a few of a cache's own sequences before its first part is written, lies beside the parts (`order.ttc`), and
//! every part names it by its hash.

use std::path::{Path, PathBuf};

use tutelage_run::{Hash, hash_bytes, read_bytes, write_atomic};

use crate::CacheError;

const MAGIC: &[u8; 8] = b"TTCORDER";

/// A permutation of the vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct IdOrder {
    /// Ids by place.
    ids: Vec<u32>,
    /// Places by id.
    ranks: Vec<u32>,
    hash: Hash,
}

pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("order.ttc")
}

impl IdOrder {
    /// The most frequent first; of equally frequent ids the lower, which tokenizers learn earlier.
    pub(super) fn new(counts: &[u64]) -> Self {
        let mut ids: Vec<u32> = (0..counts.len() as u32).collect();
        ids.sort_by_key(|&id| (std::cmp::Reverse(counts[id as usize]), id));
        Self::of(ids)
    }

    fn of(ids: Vec<u32>) -> Self {
        let mut ranks = vec![0; ids.len()];
        ids.iter().enumerate().for_each(|(rank, &id)| ranks[id as usize] = rank as u32);
        let hash = hash_bytes(&bytes(&ids));
        Self { ids, ranks, hash }
    }

    /// Reads it, if it is there.
    pub(super) fn read(folder: &Path, vocab_size: usize) -> Result<Option<Self>, CacheError> {
        let path = path(folder);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = read_bytes(&path)?;
        let damaged = |found: &str| CacheError::damaged(&path, found);
        let body = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it does not begin as an order of ids"))?;
        let (body, crc) = body.split_last_chunk::<4>().ok_or_else(|| damaged("it ends early"))?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return Err(damaged("its checksum is wrong"));
        }
        let ids: Vec<u32> = body.as_chunks::<4>().0.iter().map(|id| u32::from_le_bytes(*id)).collect();
        let mut seen = vec![false; vocab_size];
        let is_new = |&id: &u32| seen.get_mut(id as usize).is_some_and(|seen| !std::mem::replace(seen, true));
        if ids.len() != vocab_size || body.len() != 4 * vocab_size || !ids.iter().all(is_new) {
            return Err(damaged("it does not name every id of the vocabulary once"));
        }
        Ok(Some(Self::of(ids)))
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), CacheError> {
        let body = bytes(&self.ids);
        let crc = crc32c::crc32c(&body);
        let mut out = MAGIC.to_vec();
        out.extend(body);
        out.extend(crc.to_le_bytes());
        Ok(write_atomic(&path(folder), &out)?)
    }

    pub(super) fn hash(&self) -> &Hash {
        &self.hash
    }

    #[inline]
    pub(super) fn rank(&self, id: u32) -> u32 {
        self.ranks[id as usize]
    }

    /// Nothing beyond the vocabulary.
    #[inline]
    pub(super) fn id(&self, rank: u32) -> Option<u32> {
        self.ids.get(rank as usize).copied()
    }
}

fn bytes(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}
