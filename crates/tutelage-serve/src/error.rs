//! What can go wrong before a request is there.

use std::net::SocketAddr;

/// The server could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another --port or --host")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration asks for something that cannot be.
    #[error("{0}")]
    Request(String),
    /// The machine.
    #[error("cannot start the server's threads: {0}")]
    Threads(std::io::Error),
}

impl ServeError {
    /// Whether the request was wrong, rather than the machine.
    pub fn is_request(&self) -> bool {
        !matches!(self, ServeError::Threads(_))
    }
}
