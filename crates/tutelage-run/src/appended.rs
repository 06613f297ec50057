//! A file that only grows, and is cut back to the length that a checkpoint vouches for.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::FileError;

/// A file open for appending.
#[derive(Debug)]
pub struct AppendedFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl AppendedFile {
    /// Opens the file, which is made if need be, and keeps its first `len` bytes, which a checkpoint vouches for.
    ///
    /// # Errors
    /// When it cannot be opened, or is shorter than the checkpoint says.
    pub fn open_at(path: &Path, len: u64) -> Result<Self, FileError> {
        let io = |error| FileError::io("write", path)(error);
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        let found = file.metadata().map_err(io)?.len();
        if found < len {
            let found = format!(
                "has {found} bytes where the checkpoint needs {len}; it was cut from outside: \
                 remove the stage's folder to start it anew"
            );
            return Err(FileError::content(path, found));
        }
        file.set_len(len).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        Ok(Self { path: path.to_path_buf(), file, len })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.file.write_all(bytes).map_err(FileError::io("write", &self.path))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Makes what was appended durable; returns the length, for a checkpoint to vouch for.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn sync(&mut self) -> Result<u64, FileError> {
        self.file.sync_data().map_err(FileError::io("write", &self.path))?;
        Ok(self.len)
    }
}
