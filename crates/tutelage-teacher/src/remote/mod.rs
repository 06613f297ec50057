//! A teacher on a server: any that answers OpenAI's completions with log-probabilities of the prompt, and names tokens by their ids
//! (`return_tokens_as_token_ids`: tutelage's own, vLLM).
//!
//! - [`ServerConfig`] says where, and how patiently.
//! - [`RemoteSource`] asks for the rows of a batch: a prompt for each document, several requests at once, each tried again with
//!   growing pauses, all within a budget of failures. A cache is written from it.
//! - [`RemoteTeacher`] asks while the student learns, and keeps nothing.
//!
//! **What is checked.** Before the first row: that the server makes the same ids of a text, and gives as many log-probabilities as are
//! wanted. In every answer: that it is about the ids that were sent, all of them, and by the same model. After every batch: that the
//! server still says the same of one prompt as in the beginning. So no row is another's.

mod answer;
mod client;
mod error;
mod identity;
mod source;
mod teacher;

use std::time::Duration;

pub use error::RemoteError;
pub use source::{RemoteSource, TokenizerProbe};
pub use teacher::RemoteTeacher;

/// Where a server is, and how it is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerConfig {
    /// Address up to the version: `http://host:8000/v1`.
    pub url: String,
    /// Name of the model there; the first that the server names if not given.
    pub model: Option<String>,
    /// Sent as a bearer token.
    pub api_key: Option<String>,
    /// Requests at once.
    pub connections: usize,
    /// Tokens of a request, about; a longer document has one of its own.
    pub request_tokens: usize,
    /// For a whole answer.
    pub timeout: Duration,
    /// Tries of a request after the first.
    pub retries: u32,
    /// Failed tries of all requests together before it gives up.
    pub budget: u32,
}
