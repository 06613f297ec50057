//! Token shards, packing, batches.
//!
//! # Tour
//! - [`Split`] sends each document to training or held-out by the hash of its text.
//! - [`ShardWriter`] and [`Shard`]: Megatron's `.bin`/`.idx` with a manifest of hashes beside them.
//! - [`export`]: the same tokens for other trainers: nanotron, litdata, llm.c.
//! - [`PackedSet`] lays a shard's documents in one stream and cuts it into sequences, or lays them whole into sequences;
//!   [`SequenceOrder`] says which sequences step `k` sees; [`Batch`] is what a model is given.
//!
//! Everything here is plain slices: this crate compiles without the engine.

mod batch;
mod error;
pub mod export;
mod order;
mod pack;
mod shard;
mod split;

pub use batch::{Batch, IGNORED, hash_ids};
pub use error::DataError;
pub use order::SequenceOrder;
pub use pack::{PackedSet, Packing, PackingNumbers, Sequence, Tail};
pub use shard::{SHARD_ENDINGS, Shard, ShardManifest, ShardWriter, id_width};
pub use split::Split;
