//! What can go wrong.

use tutelage_corpus::CorpusError;
use tutelage_data::DataError;
use tutelage_generate::GenerateError;
use tutelage_mix::MixError;
use tutelage_model::ModelError;
use tutelage_run::FileError;
use tutelage_teacher::CacheError;
use tutelage_tensor::IsaUnavailable;
use tutelage_token::TokenError;
use tutelage_train::TrainError;

/// A recipe could not be read, planned or carried out.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The recipe asks for something that cannot be.
    #[error("{0}")]
    Request(String),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A stage over documents.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// A mixture.
    #[error(transparent)]
    Mix(#[from] MixError),
    /// Documents, shards or packing.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The tokenizer.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A teacher's cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Sampling.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] IsaUnavailable),
}

impl RecipeError {
    /// Whether the request was wrong, rather than the machine.
    pub fn is_request(&self) -> bool {
        match self {
            RecipeError::Request(_) | RecipeError::Engine(_) => true,
            RecipeError::File(error) => error.is_request(),
            RecipeError::Corpus(error) => error.is_request(),
            RecipeError::Mix(error) => error.is_request(),
            RecipeError::Data(error) => error.is_request(),
            RecipeError::Token(error) => error.is_request(),
            RecipeError::Model(error) => error.is_request(),
            RecipeError::Cache(error) => error.is_request(),
            RecipeError::Train(error) => error.is_request(),
            RecipeError::Generate(error) => error.is_request(),
        }
    }

    pub(crate) fn request(message: impl Into<String>) -> Self {
        RecipeError::Request(message.into())
    }
}
