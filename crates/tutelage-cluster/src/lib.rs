//! Where one process is not enough: who shares keys is found by a relational plan, on DataFusion in this process or on a Ballista
//! cluster, whose scheduler and executors are this program too, with our functions registered.
//!
//! # Tour
//! - [`Relational`]: the plan; a [`JoinCopies`](tutelage_corpus::JoinCopies) for `dedup`. The kept set is the embedded path's.
//! - [`relational_stats`]: numbers of documents by the same engine.
//! - [`serve_scheduler`] and [`serve_executor`]: the processes of a cluster.
//!
//! All of it is behind the feature `engine`, since the engine is four hundred crates; without it each says how to build with it.

#[cfg(feature = "engine")]
mod function;
#[cfg(feature = "engine")]
mod plan;
#[cfg(feature = "engine")]
mod process;
#[cfg(feature = "engine")]
mod stats;
#[cfg(feature = "engine")]
mod table;
#[cfg(not(feature = "engine"))]
mod without;

#[cfg(feature = "engine")]
pub use plan::Relational;
#[cfg(feature = "engine")]
pub use process::{serve_executor, serve_scheduler};
#[cfg(feature = "engine")]
pub use stats::relational_stats;
#[cfg(not(feature = "engine"))]
pub use without::{Relational, relational_stats, serve_executor, serve_scheduler};

/// Where an executor listens, and whose it is.
#[derive(Debug, Clone)]
pub struct ExecutorPlace {
    /// The scheduler's host and port.
    pub scheduler: (String, u16),
    /// Address to listen on, and to be found at.
    pub host: String,
    /// Port for results; the next one is for tasks.
    pub port: u16,
    /// Tasks at once.
    pub threads: usize,
    /// Folder for what is exchanged between stages.
    pub work: std::path::PathBuf,
}
