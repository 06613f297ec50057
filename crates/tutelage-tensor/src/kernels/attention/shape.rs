//! Heads, and where they lie in a row.

use std::ops::Range;

/// Sizes of an attention layer.
///
/// A row of the fused product is laid out per key-value group, as InternLM2's checkpoints are
/// (2403.17297, figure 2): `[kv head][query 1 .. query g, key, value][d_head]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionShape {
    /// Query heads.
    pub n_heads: usize,
    /// Key-value heads; divides `n_heads`.
    pub n_kv_heads: usize,
    /// Size of a head; even, for the rotation.
    pub d_head: usize,
    /// Keys that a query sees, its own the last of them; all before it where `None`.
    pub window: Option<usize>,
}

impl AttentionShape {
    /// Query heads that share a key-value head.
    pub fn group(self) -> usize {
        self.n_heads / self.n_kv_heads
    }

    /// Columns of the fused product.
    pub fn qkv_width(self) -> usize {
        (self.n_heads + 2 * self.n_kv_heads) * self.d_head
    }

    /// Columns of the output.
    pub fn out_width(self) -> usize {
        self.n_heads * self.d_head
    }

    /// First column of query `i` of group `kv`.
    pub(super) fn query(self, kv: usize, i: usize) -> usize {
        (kv * (self.group() + 2) + i) * self.d_head
    }

    /// First column of the key of group `kv`.
    pub(super) fn key(self, kv: usize) -> usize {
        self.query(kv, self.group())
    }

    /// First column of the value of group `kv`.
    pub(super) fn value(self, kv: usize) -> usize {
        self.query(kv, self.group() + 1)
    }

    /// First row of a document that its row `query` sees.
    pub(super) fn first_key(self, query: usize) -> usize {
        self.window.map_or(0, |window| (query + 1).saturating_sub(window))
    }

    /// Row of a document from which on no query sees a key before row `end`.
    pub(super) fn last_query(self, end: usize) -> usize {
        self.window.map_or(usize::MAX, |window| (end - 1).saturating_add(window))
    }

    /// Of `width` keys from row `start` on, those that row `query` sees.
    pub(super) fn visible(self, query: usize, start: usize, width: usize) -> Range<usize> {
        let end = (query + 1).saturating_sub(start).min(width);
        self.first_key(query).saturating_sub(start).min(end)..end
    }

    /// `1 / sqrt(d_head)`.
    pub(super) fn scale(self) -> f32 {
        1.0 / (self.d_head as f32).sqrt()
    }
}
