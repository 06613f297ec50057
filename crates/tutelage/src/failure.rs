//! An error with the one bit the exit code needs.

use tutelage_bench::BenchError;
use tutelage_recipe::RecipeError;
use tutelage_report::ReportError;
use tutelage_serve::ServeError;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) is_request: bool,
}

impl From<tutelage_run::FileError> for Failure {
    fn from(error: tutelage_run::FileError) -> Self {
        Self { is_request: error.is_request(), message: error.to_string() }
    }
}

impl From<RecipeError> for Failure {
    fn from(error: RecipeError) -> Self {
        Self { message: error.to_string(), is_request: error.is_request() }
    }
}

impl From<tutelage_recipe::corpus::CorpusError> for Failure {
    fn from(error: tutelage_recipe::corpus::CorpusError) -> Self {
        Self { is_request: error.is_request(), message: error.to_string() }
    }
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        Self { message: error.to_string(), is_request: error.is_request() }
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        Self { message: error.to_string(), is_request: error.is_request() }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        Self { message: error.to_string(), is_request: error.is_request() }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self { message: format!("cannot write to standard output: {error}"), is_request: false }
    }
}
