//! Attention in bf16 on tiles (AMX): the same blocks as the plain kernels, their products on the tile unit.
//!
//! Lengths are padded with zeros to whole tiles: `lp` rows of a document, `dp` columns of a head. Probabilities
//! and their gradients are rounded to bf16 before they are multiplied, as in flash attention in bf16.

mod backward;
mod forward;
mod head;
mod paged;

use std::ops::Range;

use super::AttentionShape;
pub(super) use backward::backward;
pub(super) use forward::forward;
pub(super) use paged::prompts;

/// Queries of a tile pair.
const QUERIES: usize = 32;
/// Queries that go over the keys together, so that a block of keys is fetched once for all of them.
const GROUP: usize = 4 * QUERIES;
/// Keys of a block.
const KEYS: usize = 256;
/// Rows of 32 elements in a packed tile.
const TILE: usize = 512;

/// Of a group of queries, the blocks that see any of the keys from `start` on.
fn seeing(shape: AttentionShape, start: usize, group: Range<usize>) -> Range<usize> {
    let last = shape.last_query(start + KEYS).min(group.end).next_multiple_of(QUERIES);
    group.start.max(start)..last.min(group.end)
}
