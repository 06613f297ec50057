//! Heads, and where they lie in a row.

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

    /// `1 / sqrt(d_head)`.
    pub(super) fn scale(self) -> f32 {
        1.0 / (self.d_head as f32).sqrt()
    }
}
