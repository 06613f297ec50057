//! What a teacher is to the training loop.

use std::error::Error;
use std::ops::Range;

use tutelage_tensor::kernels::linear_loss::TeacherLogits;

use crate::SparseTargets;
use crate::features::{Feature, Tap};

/// What a teacher says of a batch, row by row.
pub enum Targets<'t> {
    /// Nothing: the text alone.
    Hard,
    /// Its whole distribution, multiplied out chunk by chunk beside the student's.
    Soft(TeacherLogits<'t>),
    /// The most likely entries with log-probabilities at temperature 1; a row without any has no teacher.
    TopPK(SparseTargets),
    /// Counts of entries drawn from it.
    Samples(SparseTargets),
}

impl<'t> Targets<'t> {
    /// The logits of a live teacher.
    pub fn live(&self) -> Option<&TeacherLogits<'t>> {
        match self {
            Targets::Soft(logits) => Some(logits),
            Targets::Hard | Targets::TopPK(_) | Targets::Samples(_) => None,
        }
    }
}

/// What a teacher is asked about.
#[derive(Debug, Clone, Copy)]
pub struct TeacherInput<'a> {
    /// Token ids `[t]`.
    pub ids: &'a [i32],
    /// The token after each row, negative where it is not learned from `[t]`.
    pub labels: &'a [i32],
    /// Position of each row in its document `[t]`.
    pub positions: &'a [i32],
    /// Rows of each document.
    pub documents: &'a [Range<usize>],
    /// Number of the route of each document; nothing where documents have none.
    pub routes: &'a [u16],
    /// Number of each sequence in the packed set, and its rows.
    pub sequences: &'a [(usize, Range<usize>)],
}

/// A source of targets.
pub trait Teacher: Send + Sync {
    /// Targets for every row of a batch; those of several batches may be held at once.
    ///
    /// # Errors
    /// When the source cannot be read, or is for another text.
    fn targets(&self, input: TeacherInput<'_>) -> Result<Targets<'_>, TeacherError>;

    /// What it learns itself, if it does.
    fn rewarded(&self) -> Option<&dyn Rewarded> {
        None
    }

    /// The same, and what is inside the teacher at these taps, in their order: from a model that is at hand.
    ///
    /// # Errors
    /// As [`Self::targets`], and where nothing can be seen of the inside.
    fn with_features(
        &self,
        input: TeacherInput<'_>,
        taps: &[Tap],
    ) -> Result<(Targets<'_>, Vec<Feature>), TeacherError> {
        match taps.is_empty() {
            true => Ok((self.targets(input)?, Vec::new())),
            false => {
                let found = "this teacher gives distributions alone; features are a live model's";
                Err(TeacherError { is_request: true, source: found.into() })
            }
        }
    }
}

/// What a teacher learns itself from what its teaching did.
pub trait Rewarded {
    /// By how much the student's cross-entropy with the text of the step just taught fell in it, nats a token.
    fn reward(&self, fall: f64);

    /// What it has learned, for a checkpoint.
    fn state(&self) -> Vec<f64>;

    /// Goes on from such a state.
    ///
    /// # Errors
    /// When it is another's.
    fn restore(&self, state: &[f64]) -> Result<(), TeacherError>;

    /// What it has come to, in words.
    fn describe(&self) -> String;
}

/// A teacher could not answer.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct TeacherError {
    /// Whether the request was wrong, rather than the machine.
    pub is_request: bool,
    /// Why.
    pub source: Box<dyn Error + Send + Sync>,
}
