//! One stream of documents, cut into sequences: sequence `i` reads tokens `i * seq_len .. (i + 1) * seq_len` of it.

use super::{Piece, Tail};
use crate::Shard;

/// Documents end to end.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    seq_len: u64,
    n_sequences: usize,
    /// Documents in the stream's order.
    order: Vec<u32>,
    /// Where in the stream each of them starts, and the end.
    starts: Vec<u64>,
}

impl Stream {
    pub(super) fn new(shard: &Shard, seq_len: usize, order: Vec<u32>, tail: Tail) -> Self {
        let mut starts = vec![0];
        for &document in &order {
            let range = shard.document(document as usize);
            starts.push(starts[starts.len() - 1] + range.end - range.start);
        }
        // The last token has nothing after it.
        let inputs = shard.n_tokens().saturating_sub(1) as usize;
        let n_sequences = match tail {
            Tail::Drop => inputs / seq_len,
            Tail::Keep => inputs.div_ceil(seq_len),
        };
        Self { seq_len: seq_len as u64, n_sequences, order, starts }
    }

    pub(super) fn n_sequences(&self) -> usize {
        self.n_sequences
    }

    pub(super) fn pieces(&self, index: usize) -> Vec<Piece> {
        let start = index as u64 * self.seq_len;
        let total = self.starts[self.starts.len() - 1];
        let end = (start + self.seq_len).min(total - 1);
        // The last document that starts at or before it; empty documents do not exist (<s> and </s>).
        let mut document = self.starts.partition_point(|&s| s <= start) - 1;
        let (mut at, mut pieces) = (start, Vec::new());
        while at < end {
            let (first, last) = (self.starts[document], self.starts[document + 1]);
            let (start, len) = ((at - first) as u32, (last.min(end) - at) as u32);
            pieces.push(Piece { document: self.order[document], start, len });
            at = last.min(end);
            document += 1;
        }
        pieces
    }
}
