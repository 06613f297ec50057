//! What can go wrong.

use tutelage_corpus::CorpusError;
use tutelage_data::DataError;
use tutelage_run::FileError;
use tutelage_token::TokenError;

/// A mixture could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MixError {
    /// Documents.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// Shards.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The tokenizer.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What was asked for does not fit.
    #[error("{0}")]
    Request(String),
}

impl MixError {
    pub(crate) fn request(found: impl Into<String>) -> Self {
        Self::Request(found.into())
    }

    /// Whether the request was wrong, rather than the machine.
    pub fn is_request(&self) -> bool {
        match self {
            Self::Corpus(error) => error.is_request(),
            Self::Data(error) => error.is_request(),
            Self::Token(error) => error.is_request(),
            Self::File(error) => error.is_request(),
            Self::Request(_) => true,
        }
    }
}
