//! A read-only memory map.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::{FileError, Hash, hash_bytes};

/// A file's bytes, mapped.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    map: Option<memmap2::Mmap>,
}

impl MappedFile {
    /// Maps a file.
    ///
    /// # Errors
    /// When it cannot be opened or mapped.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let file = File::open(path).map_err(FileError::io("read", path))?;
        let len = file.metadata().map_err(FileError::io("read", path))?.len();
        let map = match len {
            0 => None,
            _ => {
                // SAFETY: files of a run folder are replaced by rename, never changed in place, and the folder
                // is locked while a run uses it; a person who truncates a file under us gets a SIGBUS.
                Some(unsafe { memmap2::Mmap::map(&file) }.map_err(FileError::io("map", path))?)
            }
        };
        Ok(Self { path: path.to_path_buf(), map })
    }

    /// Maps a file whose content has to be the one with this hash; `advice` is what to do where it is another.
    ///
    /// # Errors
    /// When it cannot be opened or mapped, or has another content.
    pub fn open_known(path: &Path, hash: &Hash, advice: &str) -> Result<Self, FileError> {
        let file = Self::open(path)?;
        if hash_bytes(file.bytes()) != *hash {
            let found = format!("is truncated, damaged or changed: its hash is not its manifest's; {advice}");
            return Err(FileError::content(path, found));
        }
        Ok(file)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }

    /// Gives back the memory that holds a part of the bytes; they are read from the file again if they are needed again.
    /// A wish: where the system does not know it, nothing happens.
    pub fn release(&self, part: &[u8]) {
        #[cfg(unix)]
        if let Some(map) = &self.map {
            let Some(from) = (part.as_ptr() as usize).checked_sub(map.as_ptr() as usize) else { return };
            if from + part.len() <= map.len() {
                // SAFETY: the map is read-only and of a file, so that bytes given back are found there again unchanged.
                let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, from, part.len()) };
            }
        }
    }

    /// Where it came from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
