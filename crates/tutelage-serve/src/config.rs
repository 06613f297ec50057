//! What is served, and its bounds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tutelage_generate::{EngineLimits, Generator};

/// A model that is served.
#[derive(Debug)]
pub struct ServedModel {
    /// What clients call it.
    pub name: String,
    /// The model, its tokenizer and template.
    pub generator: Arc<Generator>,
    /// A smaller model that proposes what comes next, and how many tokens at a time.
    pub draft: Option<(Arc<Generator>, usize)>,
    /// Bounds of its engine. Requests wait in the server's own queue, so that clients take turns.
    pub limits: EngineLimits,
}

/// What to serve, where and to whom.
#[derive(Debug)]
pub struct ServeConfig {
    /// Where to listen.
    pub address: SocketAddr,
    /// The models; a request that names none gets the first.
    pub models: Vec<ServedModel>,
    /// Who presents one of these may ask; everybody if there are none.
    pub api_keys: Vec<String>,
    /// Names by which the server is called, beside the address and those of the loopback interface.
    pub hosts: Vec<String>,
    /// Bounds.
    pub limits: ServeLimits,
    /// Whether the access log holds prompts and answers.
    pub logs_texts: bool,
}

/// Bounds of what clients may ask for together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServeLimits {
    /// Connections at a time; more wait to be accepted.
    pub connections: usize,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes of all bodies that are being read and are larger than 64 KiB.
    pub all_body_bytes: usize,
    /// Prompts that wait for room in an engine, of all clients.
    pub waiting: usize,
    /// Prompts that wait, of one client.
    pub waiting_of_client: usize,
    /// Prompts of a request.
    pub prompts: usize,
    /// Samples of a prompt.
    pub samples: usize,
    /// Tokens that a request may ask to be written.
    pub max_tokens: usize,
    /// Tokens of an answer in a chat that names no number.
    pub default_max_tokens: usize,
    /// Most likely tokens beside each token.
    pub logprobs: usize,
    /// For the head of a request.
    pub header_time: Duration,
    /// For the body of a request.
    pub body_time: Duration,
    /// From a request's arrival to its end.
    pub request_time: Duration,
    /// That a client takes nothing of what is sent to it.
    pub write_time: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            body_bytes: 4 << 20,
            all_body_bytes: 64 << 20,
            waiting: 1024,
            waiting_of_client: 512,
            prompts: 2048,
            samples: 128,
            max_tokens: 1 << 20,
            default_max_tokens: 1024,
            logprobs: 100,
            header_time: Duration::from_secs(30),
            body_time: Duration::from_secs(30),
            request_time: Duration::from_secs(600),
            write_time: Duration::from_secs(60),
        }
    }
}
