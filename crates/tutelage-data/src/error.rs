//! What can go wrong.

use tutelage_run::FileError;
use tutelage_token::TokenError;

/// Data could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The tokenizer.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Nothing to train on.
    #[error("{0}")]
    TooLittle(String),
}

impl DataError {
    /// Whether the request was wrong, rather than the machine.
    pub fn is_request(&self) -> bool {
        match self {
            DataError::File(error) => error.is_request(),
            DataError::Token(error) => error.is_request(),
            DataError::TooLittle(_) => true,
        }
    }
}
