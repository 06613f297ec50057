//! What can go wrong.

use tutelage_run::FileError;

/// A stage could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What was asked for does not fit.
    #[error("{0}")]
    Request(String),
    /// An engine that was asked in place of this process.
    #[error("the engine: {0}")]
    Engine(String),
    /// A thread of ours ended in a panic; what it says is a fault of the program.
    #[error("{0}; this is a fault of the program, please report it with the document")]
    Panicked(String),
}

impl CorpusError {
    /// What was asked for does not fit.
    pub fn request(found: impl Into<String>) -> Self {
        Self::Request(found.into())
    }

    /// Whether the request was wrong, rather than the machine.
    pub fn is_request(&self) -> bool {
        match self {
            Self::File(error) => error.is_request(),
            Self::Request(_) => true,
            Self::Engine(_) | Self::Panicked(_) => false,
        }
    }
}
