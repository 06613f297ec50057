//! `[servers.NAME]`: teachers elsewhere.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[servers.NAME]`: a server that answers OpenAI's completions with log-probabilities of the prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSpec {
    /// Address up to the version: `http://host:8000/v1`.
    pub url: String,
    /// Name of the model there; the first that the server names if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// File with the key, relative to the recipe's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// Requests at once.
    #[serde(default = "connections")]
    pub connections: usize,
    /// Tokens of a request, about.
    #[serde(default = "request_tokens")]
    pub request_tokens: usize,
    /// Seconds for a whole answer.
    #[serde(default = "timeout_seconds")]
    pub timeout_seconds: f64,
    /// Tries of a request after the first.
    #[serde(default = "retries")]
    pub retries: u32,
    /// Failed tries of all requests together before it gives up.
    #[serde(default = "budget")]
    pub budget: u32,
}

defaults! {
    connections: usize = 4;
    request_tokens: usize = 2048;
    timeout_seconds: f64 = 120.0;
    retries: u32 = 10;
    budget: u32 = 100;
}
