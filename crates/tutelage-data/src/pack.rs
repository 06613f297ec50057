//! One stream of documents, cut into sequences.
//!
//! Documents are laid end to end in an order shuffled once by the seed, and sequence `i` reads tokens
//! `i * seq_len .. (i + 1) * seq_len` of that stream, with the token after each as its label. So every token
//! is predicted once an epoch, and what a sequence holds depends on (corpus, seed, seq_len) alone: that
//! is what a teacher's cache is keyed by.

use std::ops::Range;
use std::sync::Arc;

use tutelage_run::{Hash, Hasher, RandomStream};

use crate::{DataError, IGNORED, Shard};

/// What becomes of the last, incomplete sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Training: sequences have one length.
    Drop,
    /// Evaluation: every token counts.
    Keep,
}

/// Sequences over a shard.
#[derive(Debug, Clone)]
pub struct PackedSet {
    shard: Arc<Shard>,
    seq_len: usize,
    n_sequences: usize,
    /// Documents in the stream's order.
    order: Vec<u32>,
    /// Stream index at which each of them starts, and the end.
    starts: Vec<u64>,
    hash: Hash,
}

/// One sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// Token ids.
    pub ids: Vec<i32>,
    /// The token after each, or [`IGNORED`] where a document ends.
    pub labels: Vec<i32>,
    /// Rows of each document, or of the part of it that lies here.
    pub documents: Vec<Range<usize>>,
    /// Number of the route of each document; nothing where documents have none.
    pub routes: Vec<u16>,
}

impl PackedSet {
    /// Packs a shard; `seed` orders its documents, `None` leaves them as they are.
    ///
    /// # Errors
    /// When there is not one whole sequence.
    pub fn new(shard: Arc<Shard>, seq_len: usize, seed: Option<u64>, tail: Tail) -> Result<Self, DataError> {
        let mut order: Vec<u32> = (0..shard.n_documents() as u32).collect();
        if let Some(seed) = seed {
            RandomStream::new(seed, "document order").shuffle(&mut order);
        }
        let mut starts = vec![0];
        for &document in &order {
            let range = shard.document(document as usize);
            starts.push(starts[starts.len() - 1] + range.end - range.start);
        }
        let inputs = shard.n_tokens().saturating_sub(1) as usize;
        let n_sequences = match tail {
            Tail::Drop => inputs / seq_len,
            Tail::Keep => inputs.div_ceil(seq_len),
        };
        if n_sequences == 0 {
            return Err(DataError::TooLittle(format!(
                "the corpus has {} tokens, fewer than one sequence of {seq_len} and its labels; \
                 add text or set a smaller data.seq_len",
                shard.n_tokens()
            )));
        }
        let hash = Hasher::default()
            .part(shard.manifest().bin.to_string().as_bytes())
            .part(format!("{seq_len} {seed:?} {tail:?}").as_bytes())
            .finish();
        Ok(Self { shard, seq_len, n_sequences, order, starts, hash })
    }

    /// The tokens it is cut from.
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Tokens of a sequence.
    pub fn seq_len(&self) -> usize {
        self.seq_len
    }

    /// Number of sequences.
    pub fn n_sequences(&self) -> usize {
        self.n_sequences
    }

    /// Hash of corpus and packing: equal hashes mean equal sequences.
    pub fn hash(&self) -> &Hash {
        &self.hash
    }

    /// Where a sequence begins in the stream, and its first document.
    fn first(&self, index: usize) -> (u64, usize) {
        assert!(index < self.n_sequences, "sequence {index} of {}", self.n_sequences);
        let start = (index * self.seq_len) as u64;
        // The last document that starts at or before it; empty documents do not exist (<s> and </s>).
        (start, self.starts.partition_point(|&s| s <= start) - 1)
    }

    /// What the first document of a sequence has before it, in other sequences; nothing if it begins here.
    ///
    /// # Panics
    /// When `index` is not below [`PackedSet::n_sequences`].
    pub fn before(&self, index: usize) -> Vec<i32> {
        let (start, document) = self.first(index);
        let source = self.shard.document(self.order[document] as usize).start;
        (source..source + start - self.starts[document]).map(|i| self.shard.token(i) as i32).collect()
    }

    /// One sequence.
    ///
    /// # Panics
    /// When `index` is not below [`PackedSet::n_sequences`].
    pub fn sequence(&self, index: usize) -> Sequence {
        let (start, mut document) = self.first(index);
        let total = self.starts[self.starts.len() - 1];
        let end = (start + self.seq_len as u64).min(total - 1);
        let mut out = Sequence { ids: Vec::new(), labels: Vec::new(), documents: Vec::new(), routes: Vec::new() };
        let mut at = start;
        while at < end {
            let (first, last) = (self.starts[document], self.starts[document + 1]);
            let source = self.shard.document(self.order[document] as usize).start;
            let row = out.ids.len();
            for i in at..last.min(end) {
                out.ids.push(self.shard.token(source + i - first) as i32);
                let label = if i + 1 < last { self.shard.token(source + i + 1 - first) as i32 } else { IGNORED };
                out.labels.push(label);
            }
            out.documents.push(row..out.ids.len());
            out.routes.extend(self.shard.route(self.order[document] as usize));
            at = last.min(end);
            document += 1;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ShardWriter;

    fn shard(name: &str) -> Arc<Shard> {
        let folder = std::env::temp_dir().join(format!("tutelage-pack-{name}-{}", std::process::id()));
        tutelage_run::create_folder(&folder).unwrap();
        let mut writer = ShardWriter::create(&folder.join("a"), tutelage_run::hash_bytes(b""), 100).unwrap();
        for document in [&[1, 10, 11, 2][..], &[1, 20, 2], &[1, 30, 31, 32, 2]] {
            writer.push(document, 1).unwrap();
        }
        writer.finish().unwrap();
        let shard = Arc::new(Shard::open(&folder.join("a")).unwrap());
        tutelage_run::remove_folder(&folder).unwrap();
        shard
    }

    #[test]
    fn sequences_are_those_worked_out_by_hand() {
        let set = PackedSet::new(shard("hand"), 5, None, Tail::Keep).unwrap();
        assert_eq!(set.n_sequences(), 3);
        let x = IGNORED;
        let first = set.sequence(0);
        assert_eq!((&first.ids[..], &first.labels[..]), (&[1, 10, 11, 2, 1][..], &[10, 11, 2, x, 20][..]));
        assert_eq!(first.documents, [0..4, 4..5]);
        let second = set.sequence(1);
        assert_eq!((&second.ids[..], &second.labels[..]), (&[20, 2, 1, 30, 31][..], &[2, x, 30, 31, 32][..]));
        assert_eq!(second.documents, [0..2, 2..5]);
        assert_eq!((set.before(0), set.before(1), set.before(2)), (vec![], vec![1], vec![1, 30, 31]));
        let tail = set.sequence(2);
        assert_eq!((&tail.ids[..], &tail.labels[..]), (&[32][..], &[2][..]));
    }

    #[test]
    fn every_token_is_a_label_once() {
        for seed in [None, Some(1), Some(2)] {
            let set = PackedSet::new(shard("once"), 4, seed, Tail::Keep).unwrap();
            let mut labels: Vec<i32> = (0..set.n_sequences()).flat_map(|i| set.sequence(i).labels).collect();
            labels.retain(|&l| l != IGNORED);
            labels.sort_unstable();
            assert_eq!(labels, [2, 2, 2, 10, 11, 20, 30, 31, 32]);
        }
    }

    #[test]
    fn the_hash_tells_packings_apart() {
        let hash = |seq_len, seed| PackedSet::new(shard("hash"), seq_len, seed, Tail::Drop).unwrap().hash().clone();
        assert_eq!(hash(4, Some(1)), hash(4, Some(1)));
        assert_ne!(hash(4, Some(1)), hash(4, Some(2)));
        assert_ne!(hash(4, Some(1)), hash(5, Some(1)));
        let error = PackedSet::new(shard("short"), 100, None, Tail::Drop).unwrap_err();
        assert!(error.is_request() && error.to_string().contains("12 tokens"), "{error}");
    }
}
