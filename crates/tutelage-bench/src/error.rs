//! What can go wrong.

use tutelage_data::DataError;
use tutelage_model::ModelError;
use tutelage_run::FileError;
use tutelage_teacher::CacheError;
use tutelage_train::TrainError;

/// A measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A name or a number that is none of ours.
    #[error("{0}")]
    Request(String),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The shard that is trained on.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The teacher's cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The step.
    #[error(transparent)]
    Train(#[from] TrainError),
}

impl BenchError {
    /// Whether the request was wrong, rather than the machine.
    pub fn is_request(&self) -> bool {
        match self {
            BenchError::Request(_) => true,
            BenchError::File(error) => error.is_request(),
            BenchError::Data(error) => error.is_request(),
            BenchError::Model(error) => error.is_request(),
            BenchError::Cache(error) => error.is_request(),
            BenchError::Train(error) => error.is_request(),
        }
    }
}
