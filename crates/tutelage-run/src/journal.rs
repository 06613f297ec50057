//! Lines of JSON that are only appended, and cut back to a checkpoint when a run goes on.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{AppendedFile, FileError, read_text};

/// A `.jsonl` file open for appending.
#[derive(Debug)]
pub struct Journal {
    file: AppendedFile,
}

impl Journal {
    /// Opens the file and keeps its first `len` bytes, which a checkpoint vouches for.
    ///
    /// # Errors
    /// When it cannot be opened, or is shorter than the checkpoint says.
    pub fn open_at(path: &Path, len: u64) -> Result<Self, FileError> {
        Ok(Self { file: AppendedFile::open_at(path, len)? })
    }

    /// Appends one record in one write.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append<T: Serialize>(&mut self, record: &T) -> Result<(), FileError> {
        let mut line = serde_json::to_vec(record)
            .map_err(|error| FileError::content(self.file.path(), format!("cannot be written as JSON: {error}")))?;
        line.push(b'\n');
        self.file.append(&line)
    }

    /// Makes what was appended durable; returns the length, for a checkpoint to vouch for.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn sync(&mut self) -> Result<u64, FileError> {
        self.file.sync()
    }
}

/// The records of a journal; a last line that was cut by a power failure is left out.
///
/// # Errors
/// When the file cannot be read, or another line is wrong.
pub fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, FileError> {
    let text = read_text(path)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .enumerate()
        .map(|(i, line)| {
            serde_json::from_str(line).map_err(|error| FileError::content(path, format!("line {}: {error}", i + 1)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_cut_back_to_its_checkpoint() {
        let path = std::env::temp_dir().join(format!("tutelage-journal-{}.jsonl", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let mut journal = Journal::open_at(&path, 0).unwrap();
        journal.append(&1).unwrap();
        let len = journal.sync().unwrap();
        journal.append(&2).unwrap();
        drop(journal);
        let mut journal = Journal::open_at(&path, len).unwrap();
        journal.append(&3).unwrap();
        assert_eq!(read_lines::<i32>(&path).unwrap(), [1, 3]);
        assert!(Journal::open_at(&path, 1000).unwrap_err().is_request());
        std::fs::remove_file(&path).unwrap();
    }
}
