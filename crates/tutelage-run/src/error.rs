//! What can go wrong with a file.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// A file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("cannot {action} {}: {source}{}", path.display(), hint(source))]
    Io {
        /// What was asked, as in "cannot ...".
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The content is not what was written, or not what was asked for.
    #[error("{}: {found}", path.display())]
    Content {
        /// Where.
        path: PathBuf,
        /// What was found, and what to try.
        found: String,
    },
    /// Another process works in the folder.
    #[error("{} is in use by another tutelage process{holder}; wait for it, stop it, or choose another --out", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// " (process N)" where known.
        holder: String,
    },
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; free some space and run the same command again, it goes on from the last checkpoint"
        }
        _ => "",
    }
}

impl FileError {
    /// For `map_err`: the system refused `action` on `path`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| FileError::Io { action, path: path.to_path_buf(), source }
    }

    /// The content of `path` is wrong.
    pub fn content(path: &Path, found: impl Into<String>) -> Self {
        FileError::Content { path: path.to_path_buf(), found: found.into() }
    }

    /// Whether the request was wrong, rather than the machine.
    pub fn is_request(&self) -> bool {
        match self {
            FileError::Io { source, .. } => matches!(
                source.kind(),
                ErrorKind::NotFound
                    | ErrorKind::PermissionDenied
                    | ErrorKind::IsADirectory
                    | ErrorKind::NotADirectory
                    | ErrorKind::InvalidInput
                    | ErrorKind::InvalidData
                    | ErrorKind::UnexpectedEof
                    | ErrorKind::AlreadyExists
                    | ErrorKind::ReadOnlyFilesystem
            ),
            FileError::Content { .. } | FileError::InUse { .. } => true,
        }
    }
}

/// The bytes of a file.
///
/// # Errors
/// When it cannot be read.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(FileError::io("read", path))
}

/// The text of a file.
///
/// # Errors
/// When it cannot be read, or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    String::from_utf8(read_bytes(path)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        FileError::content(path, format!("byte {at} is not UTF-8; convert the file to UTF-8"))
    })
}

/// A JSON file as `T`.
///
/// # Errors
/// When it cannot be read or does not hold a `T`.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    serde_json::from_str(&read_text(path)?)
        .map_err(|error| FileError::content(path, format!("not the JSON that belongs here: {error}")))
}
