//! Megatron's indexed dataset: `.bin` holds token ids, `.idx` where each document lies in it.
//!
//! Layout of `.idx` (Megatron-LM, `core/datasets/indexed_dataset.py`), little-endian: magic
//! `MMIDIDX\0\0`, version u64 = 1, dtype u8 (4: i32, 8: u16), sequences u64, document borders u64,
//! lengths i32 each, byte offsets i64 each, document borders i64 each. Here a sequence is a document.

mod writer;

pub use writer::{ShardWriter, id_width};

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tutelage_run::{FileError, Hash, MappedFile, read_json};

use crate::DataError;

const MAGIC: &[u8; 9] = b"MMIDIDX\0\0";
const HEADER: usize = 9 + 8 + 1 + 8 + 8;

/// What a shard was made from, in `NAME.json` beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShardManifest {
    /// Always `tutelage-shard-1`.
    pub format: String,
    /// Hash of the tokenizer's file.
    pub tokenizer: Hash,
    /// Entries of its vocabulary.
    pub vocab_size: u64,
    /// Documents.
    pub documents: u64,
    /// Tokens, document borders included.
    pub tokens: u64,
    /// UTF-8 bytes of the documents' texts.
    pub text_bytes: u64,
    /// Hash of the `.bin` file: the corpus as tokens.
    pub bin: Hash,
    /// Hash of the `.idx` file.
    pub idx: Hash,
    /// Routes of documents, if they have any: `.route` holds for each document the number of its route in this list, u16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// Hash of the `.route` file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Hash>,
}

const FORMAT: &str = "tutelage-shard-1";

/// Endings of a shard's files; `.route` is there where documents have routes, and `.json` is written last.
pub const SHARD_ENDINGS: [&str; 4] = ["bin", "idx", "route", "json"];

fn paths(stem: &Path) -> [PathBuf; 4] {
    SHARD_ENDINGS.map(|ending| stem.with_extension(ending))
}

/// A shard, mapped and verified.
#[derive(Debug)]
pub struct Shard {
    manifest: ShardManifest,
    bin: MappedFile,
    wide: bool,
    /// Token index at which each document starts, and the end.
    starts: Vec<u64>,
    /// Of each document, where documents have routes.
    route_of: Vec<u16>,
}

impl Shard {
    /// Opens `STEM.bin` and its companions, and compares hashes, lengths and the range of ids.
    ///
    /// # Errors
    /// When a file is missing, truncated, or not what the manifest says.
    pub fn open(stem: &Path) -> Result<Self, DataError> {
        let [bin_path, idx_path, route_path, json_path] = paths(stem);
        let manifest: ShardManifest = read_json(&json_path)?;
        if manifest.format != FORMAT {
            let found = format!("format '{}' where '{FORMAT}' is read", manifest.format);
            return Err(FileError::content(&json_path, found).into());
        }
        let open = |path, hash| MappedFile::open_known(path, hash, "remove the stage's folder to make it anew");
        let (bin, idx) = (open(&bin_path, &manifest.bin)?, open(&idx_path, &manifest.idx)?);
        let route = manifest.route.as_ref().map(|hash| open(&route_path, hash)).transpose()?;
        let (wide, lengths) = parse_index(&idx)?;
        let mut starts = vec![0];
        for n in lengths {
            starts.push(starts[starts.len() - 1] + n as u64);
        }
        let numbers =
            |file: &MappedFile| file.bytes().as_chunks::<2>().0.iter().map(|n| u16::from_le_bytes(*n)).collect();
        let route_of = route.as_ref().map_or_else(Vec::new, numbers);
        drop(route);
        let shard = Self { manifest, bin, wide, starts, route_of };
        shard.check(&json_path)?;
        Ok(shard)
    }

    fn check(&self, json_path: &Path) -> Result<(), DataError> {
        let counted = (self.n_documents() as u64, self.n_tokens(), self.bin.bytes().len() as u64);
        if counted != (self.manifest.documents, self.manifest.tokens, self.manifest.tokens * self.width() as u64) {
            return Err(FileError::content(json_path, "does not agree with the .bin and .idx beside it").into());
        }
        let known = |&number: &u16| usize::from(number) < self.manifest.routes.len();
        let n_routes = if self.manifest.route.is_some() { self.n_documents() } else { 0 };
        if self.route_of.len() != n_routes || !self.route_of.iter().all(known) {
            return Err(FileError::content(json_path, "does not agree with the .route beside it").into());
        }
        let outside = (0..self.n_tokens()).map(|i| self.token(i)).find(|&id| u64::from(id) >= self.manifest.vocab_size);
        match outside {
            Some(id) => {
                let found = format!("holds id {id}, outside its vocabulary of {}", self.manifest.vocab_size);
                Err(FileError::content(self.bin.path(), found).into())
            }
            None => Ok(()),
        }
    }

    /// What it was made from.
    pub fn manifest(&self) -> &ShardManifest {
        &self.manifest
    }

    /// Documents.
    pub fn n_documents(&self) -> usize {
        self.starts.len() - 1
    }

    /// Tokens.
    pub fn n_tokens(&self) -> u64 {
        self.starts[self.starts.len() - 1]
    }

    /// Token indices of a document.
    pub fn document(&self, index: usize) -> std::ops::Range<u64> {
        self.starts[index]..self.starts[index + 1]
    }

    /// Number of a document's route in the manifest's list, where documents have routes.
    pub fn route(&self, index: usize) -> Option<u16> {
        self.route_of.get(index).copied()
    }

    /// Bytes of an id in the file: 2 or 4.
    pub fn width(&self) -> usize {
        if self.wide { 4 } else { 2 }
    }

    /// The ids of some tokens as they are in the file, little-endian.
    pub fn bytes(&self, tokens: std::ops::Range<u64>) -> &[u8] {
        let width = self.width();
        &self.bin.bytes()[width * tokens.start as usize..width * tokens.end as usize]
    }

    /// The token at an index.
    pub fn token(&self, index: u64) -> u32 {
        let (i, bytes) = (index as usize, self.bin.bytes());
        if self.wide {
            u32::from_le_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]])
        } else {
            u32::from(u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]))
        }
    }
}

fn parse_index(idx: &MappedFile) -> Result<(bool, Vec<i32>), DataError> {
    let bytes = idx.bytes();
    let wrong = |found: &str| DataError::from(FileError::content(idx.path(), found));
    if bytes.len() < HEADER || &bytes[..9] != MAGIC {
        return Err(wrong("is not an index of Megatron's kind"));
    }
    let wide = match bytes[17] {
        4 => true,
        8 => false,
        code => return Err(wrong(&format!("has element type {code}; 4 (i32) and 8 (u16) are read"))),
    };
    let mut count = [0; 8];
    count.copy_from_slice(&bytes[18..26]);
    let n = u64::from_le_bytes(count) as usize;
    let lengths = bytes.get(HEADER..).and_then(|rest| rest.get(..n.checked_mul(4)?));
    let Some(lengths) = lengths else { return Err(wrong("ends before its last document")) };
    let lengths: Vec<i32> = lengths.as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b)).collect();
    if lengths.iter().any(|&n| n < 0) {
        return Err(wrong("holds a negative length"));
    }
    Ok((wide, lengths))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(name: &str, vocab_size: usize) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("tutelage-shard-{name}-{}", std::process::id()));
        tutelage_run::create_folder(&folder).unwrap();
        let stem = folder.join("train");
        let mut writer = ShardWriter::create(&stem, tutelage_run::hash_bytes(b"t"), vocab_size).unwrap();
        writer.push(&[1, 7, 2], 5).unwrap();
        writer.push(&[1, 2], 0).unwrap();
        writer.finish().unwrap();
        stem
    }

    #[test]
    fn the_index_is_megatrons_byte_for_byte() {
        use writer::index;
        let expected: Vec<u8> = [
            &b"MMIDIDX\0\0"[..],
            &[1, 0, 0, 0, 0, 0, 0, 0, 8],
            &[2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0],
            &[3, 0, 0, 0, 2, 0, 0, 0],
            &[0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0],
            &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        assert_eq!(index(&[3, 2], false), expected);
    }

    #[test]
    fn what_was_written_is_read() {
        for vocab_size in [100, 100_000] {
            let stem = write(&format!("read{vocab_size}"), vocab_size);
            let shard = Shard::open(&stem).unwrap();
            assert_eq!((shard.n_documents(), shard.n_tokens(), shard.document(1)), (2, 5, 3..5));
            assert_eq!((0..5).map(|i| shard.token(i)).collect::<Vec<_>>(), [1, 7, 2, 1, 2]);
            tutelage_run::remove_folder(stem.parent().unwrap()).unwrap();
        }
    }

    #[test]
    fn damage_is_found() {
        let stem = write("damage", 100);
        for ending in ["bin", "idx"] {
            let path = stem.with_extension(ending);
            let good = std::fs::read(&path).unwrap();
            let mut flipped = good.clone();
            flipped[3] ^= 1;
            for bad in [&good[..good.len() - 1], &flipped] {
                std::fs::write(&path, bad).unwrap();
                let error = Shard::open(&stem).unwrap_err();
                assert!(error.is_request() && error.to_string().contains("damaged"), "{error}");
            }
            std::fs::write(&path, good).unwrap();
        }
        assert!(Shard::open(&stem).is_ok());
        tutelage_run::remove_folder(stem.parent().unwrap()).unwrap();
    }
}
