//! An OpenAI-compatible HTTP server over models. The only asynchronous crate.
//!
//! # Tour
//! - [`serve`] listens until it is told to stop, then finishes what runs. [`ServeConfig`] says what, where, to whom and
//!   within which bounds.
//! - `worker/`: the one thread that computes. Connections hand it jobs and get events; clients take turns; a connection
//!   that goes away gives up its job.
//! - `http/`: a file for each thing that can be asked for, and what they share: bodies within bounds, keys, errors in
//!   OpenAI's form, streams, the access log. `openapi.json` describes it all; a test compares the two.
//! - `listen/`: connections, with a time for everything that a client may draw out.

mod config;
mod error;
mod http;
mod listen;
mod metrics;
mod worker;

pub use config::{ServeConfig, ServeLimits, ServedModel};
pub use error::ServeError;
pub use http::{AccessEntry, AccessLog, Facts};
pub use listen::serve;
pub use tutelage_generate::EngineLimits;
