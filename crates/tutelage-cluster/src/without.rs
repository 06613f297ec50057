//! What a program says that was built without the engine.

use std::path::PathBuf;

use tutelage_corpus::{CorpusError, JoinCopies, Signatures, Stats};
use tutelage_run::{Observer, StopFlag};

use crate::ExecutorPlace;

fn missing() -> CorpusError {
    CorpusError::request(
        "DataFusion and Ballista are in a program that was built with their feature: cargo build --release --features cluster",
    )
}

/// The plan.
#[derive(Debug, Clone)]
pub struct Relational;

impl Relational {
    /// Says that the engine is not there.
    ///
    /// # Errors
    /// Always.
    pub fn new(_scheduler: Option<&str>, _threads: usize) -> Result<Self, CorpusError> {
        Err(missing())
    }
}

impl JoinCopies for Relational {
    fn join(
        &self,
        _: &Signatures<'_>,
        _: &mut dyn Observer,
        _: &StopFlag,
    ) -> Result<Option<Vec<(u32, u32)>>, CorpusError> {
        Err(missing())
    }
}

/// Says that the engine is not there.
///
/// # Errors
/// Always.
pub fn relational_stats(_engine: &Relational, _inputs: &[PathBuf], _text_field: &str) -> Result<Stats, CorpusError> {
    Err(missing())
}

/// Says that the engine is not there.
///
/// # Errors
/// Always.
pub fn serve_scheduler(_host: &str, _port: u16) -> Result<(), CorpusError> {
    Err(missing())
}

/// Says that the engine is not there.
///
/// # Errors
/// Always.
pub fn serve_executor(_place: &ExecutorPlace) -> Result<(), CorpusError> {
    Err(missing())
}
