//! The cache on disk: `cache.json`, and parts `part-00000.ttc` that each appear only when whole.
//!
//! A part is, little-endian: magic `TTCACHE1`; length of the header (u32) and the header, JSON, the same as
//! `cache.json` with the part's own numbers; one index entry a sequence (number u64, hash of its input ids
//! u64, offset u64, length u32, CRC-32C of the block u32); CRC-32C of all before (u32); the blocks.
//! A block is bits, low first: for each token the number of entries, then each entry's id and value.

mod bits;
mod block;
mod collect;
mod header;
mod part;
mod reader;
mod writer;

pub use header::{CacheHeader, Kept};
pub use reader::{CacheReader, CacheStats};
pub use writer::{Outcome, write};
