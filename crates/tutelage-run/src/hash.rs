//! Provenance: BLAKE3 of contents.

use std::fmt;
use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::FileError;

/// The first 16 bytes of a BLAKE3 hash, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hash(String);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Hash of a sequence of parts; the borders count.
#[derive(Debug, Default)]
pub struct Hasher {
    inner: blake3::Hasher,
}

impl Hasher {
    /// Appends a part.
    pub fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.inner.update(&(bytes.len() as u64).to_le_bytes());
        self.inner.update(bytes);
        self
    }

    /// The hash of all parts.
    pub fn finish(&self) -> Hash {
        name(&self.inner)
    }
}

/// Hash of a content that comes in pieces: the same as [`hash_bytes`] of all of it.
#[derive(Debug, Clone, Default)]
pub struct ContentHasher {
    inner: blake3::Hasher,
}

impl ContentHasher {
    /// With a file's content so far.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_file(path: &Path) -> Result<Self, FileError> {
        let file = File::open(path).map_err(FileError::io("read", path))?;
        let mut inner = blake3::Hasher::new();
        inner.update_reader(file).map_err(FileError::io("read", path))?;
        Ok(Self { inner })
    }

    /// Appends bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.inner.update(bytes);
    }

    /// The hash of all bytes so far.
    pub fn finish(&self) -> Hash {
        name(&self.inner)
    }
}

fn name(hasher: &blake3::Hasher) -> Hash {
    Hash(hasher.finalize().to_hex()[..32].to_owned())
}

/// Hash of bytes.
pub fn hash_bytes(bytes: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(bytes);
    name(&hasher)
}

/// Hash of a file's content.
///
/// # Errors
/// When it cannot be read.
pub fn hash_file(path: &Path) -> Result<Hash, FileError> {
    Ok(ContentHasher::of_file(path)?.finish())
}
