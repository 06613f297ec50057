//! Why a command failed, and what the exit code is for it.

use std::fmt::Display;
use std::process::ExitCode;

use tutelage_bench::BenchError;
use tutelage_recipe::RecipeError;
use tutelage_recipe::corpus::CorpusError;
use tutelage_report::ReportError;
use tutelage_run::FileError;
use tutelage_serve::ServeError;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The request was wrong.
    Request(String),
    /// The machine, or what is on it.
    Machine(String),
    /// Nobody reads the output any more, as after `| head`.
    Unread,
}

impl Failure {
    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self::Request(message.into())
    }

    pub(crate) fn machine(message: impl Into<String>) -> Self {
        Self::Machine(message.into())
    }

    pub(crate) fn of(error: &dyn Display, is_request: bool) -> Self {
        let message = error.to_string();
        if is_request { Self::Request(message) } else { Self::Machine(message) }
    }

    /// Tells it to people, and to the system by the code.
    pub(crate) fn told(self) -> ExitCode {
        let (message, code) = match self {
            Self::Request(message) => (message, 2),
            Self::Machine(message) => (message, 1),
            Self::Unread => return ExitCode::SUCCESS,
        };
        say!("error: {message}");
        ExitCode::from(code)
    }
}

/// Errors that know whether the request was wrong.
macro_rules! failures {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::of(&error, error.is_request())
            }
        })*
    };
}

failures!(FileError, RecipeError, CorpusError, BenchError, ReportError, ServeError);

/// Standard output's.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Machine(format!("cannot write to standard output: {error}")),
        }
    }
}
