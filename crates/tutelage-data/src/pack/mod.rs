//! Documents laid into sequences. What a sequence holds depends on (corpus, seed, seq_len, packing) alone: that is what a
//! teacher's cache is keyed by. Every token but a document's first is predicted once an epoch, whichever way is chosen.

mod best_fit;
mod stream;

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tutelage_run::{Hash, Hasher, RandomStream};

use crate::{DataError, IGNORED, Shard};
use best_fit::BestFit;
use stream::Stream;

/// What becomes of the last, incomplete sequence of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Training: sequences have one length.
    Drop,
    /// Evaluation: every token counts.
    Keep,
}

/// How documents are laid into sequences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// End to end in one stream that is cut into sequences, through documents.
    #[default]
    Stream,
    /// Whole, where a sequence has room for them (best-fit decreasing; Ding and others, 2404.10830): only documents that are longer
    /// than a sequence are cut. Sequences may be a little shorter than `seq_len`.
    BestFit,
}

/// A part of a document: its inputs `start..start + len`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    document: u32,
    start: u32,
    len: u32,
}

#[derive(Debug, Clone)]
enum Layout {
    Stream(Stream),
    BestFit(BestFit),
}

/// Sequences over a shard.
#[derive(Debug, Clone)]
pub struct PackedSet {
    shard: Arc<Shard>,
    seq_len: usize,
    layout: Layout,
    hash: Hash,
}

/// What a packing amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PackingNumbers {
    /// Sequences.
    pub sequences: u64,
    /// Tokens that sequences have less than `seq_len`, as a share of all they could hold.
    pub padding: f64,
    /// Documents that lie in more than one sequence.
    pub cut_documents: u64,
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

/// Documents in an order that the seed draws, or as they are.
fn order(shard: &Shard, seed: Option<u64>) -> Vec<u32> {
    let mut order: Vec<u32> = (0..shard.n_documents() as u32).collect();
    if let Some(seed) = seed {
        RandomStream::new(seed, "document order").shuffle(&mut order);
    }
    order
}

impl PackedSet {
    /// Lays a shard's documents in a stream; `seed` orders them, `None` leaves them as they are.
    ///
    /// # Errors
    /// When there is not one whole sequence.
    pub fn new(shard: Arc<Shard>, seq_len: usize, seed: Option<u64>, tail: Tail) -> Result<Self, DataError> {
        let stream = Stream::new(&shard, seq_len, order(&shard, seed), tail);
        Self::of(shard, seq_len, Layout::Stream(stream), &format!("{seq_len} {seed:?} {tail:?}"))
    }

    /// Lays a shard's documents whole into sequences; `seed` orders those of one length.
    ///
    /// # Errors
    /// When there is no document of two tokens.
    pub fn best_fit(shard: Arc<Shard>, seq_len: usize, seed: Option<u64>) -> Result<Self, DataError> {
        let best_fit = BestFit::new(&shard, seq_len, &order(&shard, seed));
        Self::of(shard, seq_len, Layout::BestFit(best_fit), &format!("{seq_len} {seed:?} BestFit"))
    }

    fn of(shard: Arc<Shard>, seq_len: usize, layout: Layout, settings: &str) -> Result<Self, DataError> {
        let hash =
            Hasher::default().part(shard.manifest().bin.to_string().as_bytes()).part(settings.as_bytes()).finish();
        let set = Self { shard, seq_len, layout, hash };
        if set.n_sequences() == 0 {
            return Err(DataError::TooLittle(format!(
                "the corpus has {} tokens, fewer than one sequence of {seq_len} and its labels; \
                 add text or set a smaller data.seq_len",
                set.shard.n_tokens()
            )));
        }
        Ok(set)
    }

    /// The tokens it is cut from.
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Tokens of a sequence, at most.
    pub fn seq_len(&self) -> usize {
        self.seq_len
    }

    /// Number of sequences.
    pub fn n_sequences(&self) -> usize {
        match &self.layout {
            Layout::Stream(stream) => stream.n_sequences(),
            Layout::BestFit(best_fit) => best_fit.n_sequences(),
        }
    }

    /// Hash of corpus and packing: equal hashes mean equal sequences.
    pub fn hash(&self) -> &Hash {
        &self.hash
    }

    /// The parts of documents in a sequence.
    fn pieces(&self, index: usize) -> Vec<Piece> {
        assert!(index < self.n_sequences(), "sequence {index} of {}", self.n_sequences());
        match &self.layout {
            Layout::Stream(stream) => stream.pieces(index),
            Layout::BestFit(best_fit) => best_fit.pieces(index).to_vec(),
        }
    }

    /// What the document of this place in a sequence has before it, in other sequences; nothing if it begins here.
    ///
    /// # Panics
    /// When `index` is not below [`PackedSet::n_sequences`], or the sequence has fewer documents.
    pub fn before(&self, index: usize, place: usize) -> Vec<i32> {
        let Piece { document, start, .. } = self.pieces(index)[place];
        let source = self.shard.document(document as usize).start;
        (source..source + u64::from(start)).map(|i| self.shard.token(i) as i32).collect()
    }

    /// One sequence.
    ///
    /// # Panics
    /// When `index` is not below [`PackedSet::n_sequences`].
    pub fn sequence(&self, index: usize) -> Sequence {
        let mut out = Sequence { ids: Vec::new(), labels: Vec::new(), documents: Vec::new(), routes: Vec::new() };
        for Piece { document, start, len } in self.pieces(index) {
            let whole = self.shard.document(document as usize);
            let (first, row) = (whole.start + u64::from(start), out.ids.len());
            for i in first..first + u64::from(len) {
                out.ids.push(self.shard.token(i) as i32);
                out.labels.push(if i + 1 < whole.end { self.shard.token(i + 1) as i32 } else { IGNORED });
            }
            out.documents.push(row..out.ids.len());
            out.routes.extend(self.shard.route(document as usize));
        }
        out
    }

    /// What the packing amounts to.
    pub fn numbers(&self) -> PackingNumbers {
        let (mut inputs, mut cut, mut seen) = (0u64, 0, vec![0u8; self.shard.n_documents()]);
        for piece in (0..self.n_sequences()).flat_map(|index| self.pieces(index)) {
            inputs += u64::from(piece.len);
            let seen = &mut seen[piece.document as usize];
            *seen = seen.saturating_add(1);
            cut += u64::from(*seen == 2);
        }
        let sequences = self.n_sequences() as u64;
        let room = sequences * self.seq_len as u64;
        PackingNumbers { sequences, padding: 1.0 - inputs as f64 / room as f64, cut_documents: cut }
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
        let before = |index, place| set.before(index, place);
        assert_eq!((before(0, 0), before(1, 0), before(2, 0)), (vec![], vec![1], vec![1, 30, 31]));
        assert_eq!((before(0, 1), before(1, 1)), (vec![], vec![]));
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
