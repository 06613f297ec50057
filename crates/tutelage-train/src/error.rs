//! What can go wrong.

use std::path::PathBuf;

use tutelage_loss::TeacherError;
use tutelage_model::ModelError;
use tutelage_run::FileError;

use crate::SnapshotError;

/// Training could not begin, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A model or a checkpoint's arrays.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The teacher.
    #[error(transparent)]
    Teacher(#[from] TeacherError),
    /// A model could not be kept.
    #[error("step {step}: the model could not be kept: {source}")]
    Snapshot {
        /// The step.
        step: u64,
        /// Why.
        source: SnapshotError,
    },
    /// Numbers that are none.
    #[error(
        "step {step}: the {whose}{what} is {value}; {kept}. Lower lr or grad_clip, or lengthen warmup, and start the stage anew"
    )]
    Diverged {
        /// The step, from one.
        step: u64,
        /// Of a teacher that learns, or nothing.
        whose: &'static str,
        /// Loss or gradient norm.
        what: &'static str,
        /// NaN or infinity.
        value: f64,
        /// What is left.
        kept: String,
    },
    /// A checkpoint of another training.
    #[error("{}: {found}; remove the stage's folder to start it anew", path.display())]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What was found.
        found: String,
    },
}

impl TrainError {
    /// Whether the request was wrong, rather than the machine.
    pub fn is_request(&self) -> bool {
        match self {
            TrainError::File(error) => error.is_request(),
            TrainError::Model(error) => error.is_request(),
            TrainError::Teacher(error) => error.is_request,
            TrainError::Diverged { .. } | TrainError::Snapshot { .. } => false,
            TrainError::Checkpoint { .. } => true,
        }
    }
}
