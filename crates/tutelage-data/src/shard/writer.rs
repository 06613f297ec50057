//! Writing a shard, and going on with it.

use std::path::{Path, PathBuf};

use tutelage_run::{AppendedFile, Hash, hash_bytes, hash_file, rename, write_atomic, write_json};

use super::{FORMAT, MAGIC, ShardManifest, paths};
use crate::DataError;

/// Writes a shard document by document.
#[derive(Debug)]
pub struct ShardWriter {
    stem: PathBuf,
    tokenizer: Hash,
    vocab_size: usize,
    bin: AppendedFile,
    lengths: Vec<i32>,
    text_bytes: u64,
    routes: Vec<String>,
    /// Of each document, where documents have routes.
    route_of: Vec<u16>,
}

impl ShardWriter {
    /// Begins `STEM.bin`, `STEM.idx` and `STEM.json`.
    ///
    /// # Errors
    /// When files cannot be created.
    pub fn create(stem: &Path, tokenizer: Hash, vocab_size: usize) -> Result<Self, DataError> {
        Self::go_on(stem, tokenizer, vocab_size, 0)
    }

    /// Whether there is something to go on with.
    pub fn is_begun(stem: &Path) -> bool {
        part(stem).exists()
    }

    /// Goes on with what [`Self::sync`] has vouched for: the first `tokens` tokens are kept, and whose they are is told again with
    /// [`Self::pass`], document by document.
    ///
    /// # Errors
    /// When the file is not there, or shorter.
    pub fn go_on(stem: &Path, tokenizer: Hash, vocab_size: usize, tokens: u64) -> Result<Self, DataError> {
        let width = id_width(vocab_size) as u64;
        Ok(Self {
            stem: stem.to_path_buf(),
            tokenizer,
            vocab_size,
            bin: AppendedFile::open_at(&part(stem), tokens * width)?,
            lengths: Vec::new(),
            text_bytes: 0,
            routes: Vec::new(),
            route_of: Vec::new(),
        })
    }

    fn wide(&self) -> bool {
        id_width(self.vocab_size) == 4
    }

    /// Makes what was appended durable.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn sync(&mut self) -> Result<(), DataError> {
        self.bin.sync()?;
        Ok(())
    }

    /// Appends a document of `text_bytes` bytes of text.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn push(&mut self, ids: &[u32], text_bytes: usize) -> Result<(), DataError> {
        let bytes: Vec<u8> = match self.wide() {
            true => ids.iter().flat_map(|&id| (id as i32).to_le_bytes()).collect(),
            false => ids.iter().flat_map(|&id| (id as u16).to_le_bytes()).collect(),
        };
        self.bin.append(&bytes)?;
        self.pass(ids.len(), text_bytes)
    }

    /// The same, where its ids are there already.
    ///
    /// # Errors
    /// When it is too long.
    pub fn pass(&mut self, n_ids: usize, text_bytes: usize) -> Result<(), DataError> {
        self.lengths.push(i32::try_from(n_ids).map_err(|_| {
            DataError::TooLittle(format!("a document of {n_ids} tokens exceeds what a shard holds; split it"))
        })?);
        self.text_bytes += text_bytes as u64;
        Ok(())
    }

    /// Appends a document that goes to a teacher by this route; all documents of a shard have one, or none has.
    ///
    /// # Errors
    /// When it cannot be written, or there are more routes than numbers for them.
    pub fn push_routed(&mut self, ids: &[u32], text_bytes: usize, route: &str) -> Result<(), DataError> {
        self.route(route)?;
        self.push(ids, text_bytes)
    }

    /// The same, where its ids are there already.
    ///
    /// # Errors
    /// When it is too long, or there are more routes than numbers for them.
    pub fn pass_routed(&mut self, n_ids: usize, text_bytes: usize, route: &str) -> Result<(), DataError> {
        self.route(route)?;
        self.pass(n_ids, text_bytes)
    }

    fn route(&mut self, route: &str) -> Result<(), DataError> {
        let number = self.routes.iter().position(|known| known == route).unwrap_or_else(|| {
            self.routes.push(route.to_owned());
            self.routes.len() - 1
        });
        let number = u16::try_from(number).map_err(|_| {
            DataError::TooLittle(
                "the field that routes documents has more than 65,536 values: it routes nothing".to_owned(),
            )
        })?;
        self.route_of.push(number);
        Ok(())
    }

    /// Makes the files appear, the manifest last.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn finish(mut self) -> Result<ShardManifest, DataError> {
        let [bin_path, idx_path, route_path, json_path] = paths(&self.stem);
        let wide = self.wide();
        self.bin.sync()?;
        rename(&part(&self.stem), &bin_path)?;
        let idx = index(&self.lengths, wide);
        write_atomic(&idx_path, &idx)?;
        let route = match self.route_of.is_empty() {
            true => None,
            false => {
                let bytes: Vec<u8> = self.route_of.iter().flat_map(|number| number.to_le_bytes()).collect();
                write_atomic(&route_path, &bytes)?;
                Some(hash_bytes(&bytes))
            }
        };
        let manifest = ShardManifest {
            format: FORMAT.to_owned(),
            tokenizer: self.tokenizer,
            vocab_size: self.vocab_size as u64,
            documents: self.lengths.len() as u64,
            tokens: self.lengths.iter().map(|&n| n as u64).sum(),
            text_bytes: self.text_bytes,
            bin: hash_file(&bin_path)?,
            idx: hash_bytes(&idx),
            routes: self.routes,
            route,
        };
        write_json(&json_path, &manifest)?;
        Ok(manifest)
    }
}

/// Bytes of an id in files: 4 where 2 are not enough for the vocabulary.
pub fn id_width(vocab_size: usize) -> usize {
    if vocab_size > usize::from(u16::MAX) + 1 { 4 } else { 2 }
}

/// The `.bin` while it grows.
fn part(stem: &Path) -> PathBuf {
    stem.with_extension("bin.part")
}

pub(super) fn index(lengths: &[i32], wide: bool) -> Vec<u8> {
    let (code, width) = if wide { (4u8, 4i64) } else { (8u8, 2i64) };
    let mut out = MAGIC.to_vec();
    out.extend(1u64.to_le_bytes());
    out.push(code);
    out.extend((lengths.len() as u64).to_le_bytes());
    out.extend((lengths.len() as u64 + 1).to_le_bytes());
    out.extend(lengths.iter().flat_map(|n| n.to_le_bytes()));
    let mut offset = 0i64;
    for &n in lengths {
        out.extend(offset.to_le_bytes());
        offset += i64::from(n) * width;
    }
    out.extend((0..=lengths.len() as i64).flat_map(i64::to_le_bytes));
    out
}
