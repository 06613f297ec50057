//! A read-only memory map.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::FileError;

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

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }

    /// Where it came from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
