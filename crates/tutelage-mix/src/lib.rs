//! From documents of several sources to the tokens that a model is trained on, phase by phase.
//!
//! # Tour
//! - [`Tokenize`]: a stage as the others of `tutelage-corpus` are; documents become tokens, once.
//! - [`mix()`]: sources with weights or numbers of passes, phases one after the other; of each phase a shard, whose every token is
//!   accounted for by source. Sources are documents, or folders that [`Tokenize`] has left.
//! - [`MixReport`]: what became of it.
//!
//! Memory is bounded by the number of documents, not by their length: 12 bytes for each, and 5 more while a phase is drawn.

mod draw;
mod error;
mod mixing;
mod report;
mod settings;
mod shares;
mod source;
mod tokenize;
mod write;

pub use error::MixError;
pub use mixing::{MixTokenizer, mix};
pub use report::{MixReport, PhaseReport, PhaseSource, SourceReport};
pub use settings::{MixSettings, PhaseSettings, ShortSettings, SourceSettings};
pub use tokenize::{Tokenize, TokenizeWorker};
