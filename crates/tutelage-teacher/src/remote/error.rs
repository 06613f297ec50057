//! What can go wrong with a server.

use tutelage_loss::TeacherError;

/// A server could not be asked, or its answer not be used.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// No whole answer came.
    #[error("the server at {url} gave no whole answer in {tries} tries, the last time because of: {found}")]
    Unreachable {
        /// Its address.
        url: String,
        /// How often it was asked.
        tries: u32,
        /// Of the last try.
        found: String,
    },
    /// Too many failures in all.
    #[error(
        "{failures} requests to the server at {url} failed, the last because of: {found}; that is the budget: look at the server, or raise 'budget'"
    )]
    Budget {
        /// Its address.
        url: String,
        /// How many.
        failures: u32,
        /// Of the last.
        found: String,
    },
    /// It does not do what it was asked for.
    #[error("the server at {url} refused ({status}): {found}")]
    Refused {
        /// Its address.
        url: String,
        /// HTTP status.
        status: u16,
        /// In its own words.
        found: String,
    },
    /// An answer to another question.
    #[error("the server at {url} answered what cannot be used: {found}")]
    Answer {
        /// Its address.
        url: String,
        /// What was found.
        found: String,
    },
    /// Not the teacher that it was.
    #[error("the server at {url} is not the teacher that it was: {found}; nothing it said since is kept")]
    Changed {
        /// Its address.
        url: String,
        /// What was found.
        found: String,
    },
}

impl RemoteError {
    /// Whether the request was wrong, rather than the machine.
    pub fn is_request(&self) -> bool {
        !matches!(self, RemoteError::Unreachable { .. } | RemoteError::Budget { .. })
    }
}

impl From<RemoteError> for TeacherError {
    fn from(error: RemoteError) -> Self {
        TeacherError { is_request: error.is_request(), source: Box::new(error) }
    }
}
