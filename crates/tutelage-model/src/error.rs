//! What can go wrong.

use std::path::PathBuf;

use tutelage_run::FileError;

/// A model could not be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Sizes that make no model.
    #[error("{field} = {value}: {fault}")]
    Config {
        /// Name of the setting.
        field: &'static str,
        /// What it was.
        value: String,
        /// Why not, and what to try.
        fault: String,
    },
    /// A field that this program does not know.
    #[error("{field} = {value}: this field of config.json is not supported; it may change what the model computes")]
    UnknownConfig {
        /// Name of the field.
        field: String,
        /// Its value.
        value: String,
    },
    /// Metadata of a GGUF file that is missing or not supported.
    #[error("{}: {key} = {value}: {fault}", path.display())]
    UnsupportedMetadata {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// Why not.
        fault: String,
    },
    /// Weights that do not fit the configuration.
    #[error("{}: {fault}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        fault: String,
    },
}

impl ModelError {
    /// Whether the request was wrong, rather than the machine.
    pub fn is_request(&self) -> bool {
        match self {
            ModelError::File(error) => error.is_request(),
            ModelError::Config { .. }
            | ModelError::UnknownConfig { .. }
            | ModelError::UnsupportedMetadata { .. }
            | ModelError::Weights { .. } => true,
        }
    }
}
