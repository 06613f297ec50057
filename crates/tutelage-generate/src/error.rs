//! What can go wrong.

use tutelage_model::ModelError;
use tutelage_run::FileError;
use tutelage_token::TokenError;

/// Text could not be generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The tokenizer.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Too much is asked at once.
    #[error("{waiting} requests wait already; try again later")]
    Busy {
        /// How many wait.
        waiting: usize,
    },
    /// A wish that cannot be met.
    #[error("{0}")]
    Request(String),
}

impl GenerateError {
    /// Whether the request was wrong, rather than the machine.
    pub fn is_request(&self) -> bool {
        match self {
            GenerateError::File(error) => error.is_request(),
            GenerateError::Model(error) => error.is_request(),
            GenerateError::Token(error) => error.is_request(),
            GenerateError::Request(_) => true,
            GenerateError::Busy { .. } => false,
        }
    }
}
