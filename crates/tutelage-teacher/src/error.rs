//! What can go wrong with a cache.

use std::path::{Path, PathBuf};

use tutelage_loss::TeacherError;
use tutelage_run::FileError;

use crate::remote::RemoteError;

/// A cache could not be written or used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A server.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A text could not be divided into the tokens of a teacher with another vocabulary.
    #[error("a text cannot be read in the teacher's tokens: {source}")]
    Text {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Made for something else.
    #[error(
        "the teacher cache {} was made for another {what}: it holds {found}, asked for is {expected}; \
         remove the folder to make it anew", path.display()
    )]
    Mismatch {
        /// The cache.
        path: PathBuf,
        /// Teacher, tokenizer, packing, ...
        what: &'static str,
        /// In the cache.
        found: String,
        /// Asked for.
        expected: String,
    },
    /// Bytes are not what was written.
    #[error("{} is truncated or damaged: {found}; remove it, and the same command makes it anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// A sequence that the cache does not cover.
    #[error("the teacher cache {} does not cover sequence {sequence}; make it for at least as many steps", path.display())]
    NotCovered {
        /// The cache.
        path: PathBuf,
        /// Number in the packed set.
        sequence: usize,
    },
}

impl CacheError {
    /// Whether the request was wrong, rather than the machine.
    pub fn is_request(&self) -> bool {
        match self {
            CacheError::File(error) => error.is_request(),
            CacheError::Remote(error) => error.is_request(),
            _ => true,
        }
    }

    pub(crate) fn damaged(path: &Path, found: impl Into<String>) -> Self {
        CacheError::Damaged { path: path.to_path_buf(), found: found.into() }
    }
}

impl From<CacheError> for TeacherError {
    fn from(error: CacheError) -> Self {
        TeacherError { is_request: error.is_request(), source: Box::new(error) }
    }
}
