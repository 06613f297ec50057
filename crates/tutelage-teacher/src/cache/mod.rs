//! The cache on disk: `cache.json`, and parts `part-00000.ttc` that each appear only when whole.
//!
//! A part is, little-endian: magic `TTCACHE2`; length of the header (u32) and the header, JSON, the same as
//! `cache.json` with the part's own numbers; tables of frequencies; one index entry a sequence (number u64, hash of its
//! input ids u64, offset u64, length u32, CRC-32C of the block u32); CRC-32C of all before (u32); the blocks, each of a
//! sequence: see `coding/`. Beside the parts lies `order.ttc`, which every part names by its hash.

mod coding;
mod collect;
mod header;
mod order;
mod part;
mod reader;
mod stats;
mod writer;

pub(crate) use collect::most_likely_first;
pub use collect::{ModelSource, Row};
pub use header::{CacheHeader, Kept};
pub use reader::{CacheReader, CacheStats};
pub use stats::CodingStats;
pub use writer::{Outcome, Source, write};
