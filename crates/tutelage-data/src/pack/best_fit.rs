//! Best-fit decreasing: the longest documents first, each into the sequence with the least room that still holds it.
//!
//! A document's last token is a label only: nothing is predicted from it, so it takes no room. Documents with more inputs than a
//! sequence are cut at every `seq_len`, and the label of a part's last input is the next part's first, so nothing is lost.

use std::collections::BTreeMap;

use super::Piece;
use crate::Shard;

/// Which parts of documents lie in which sequence.
#[derive(Debug, Clone)]
pub(super) struct BestFit {
    /// Where the parts of each sequence begin, and the end.
    starts: Vec<u32>,
    pieces: Vec<Piece>,
}

impl BestFit {
    pub(super) fn new(shard: &Shard, seq_len: usize, order: &[u32]) -> Self {
        // Sequences are addressed by positions of 32 bits.
        let seq_len = u32::try_from(seq_len).unwrap_or(u32::MAX).max(1);
        let mut pieces = cut(shard, seq_len, order);
        // Stable: parts of one length stay in the order that the seed has drawn.
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len));
        let (of, n_sequences) = assign(&pieces, seq_len);
        let mut starts = vec![0u32; n_sequences + 1];
        of.iter().for_each(|&sequence| starts[sequence as usize + 1] += 1);
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut next = starts.clone();
        let mut placed = vec![Piece { document: 0, start: 0, len: 0 }; pieces.len()];
        for (piece, sequence) in pieces.into_iter().zip(of) {
            let at = &mut next[sequence as usize];
            placed[*at as usize] = piece;
            *at += 1;
        }
        Self { starts, pieces: placed }
    }

    pub(super) fn n_sequences(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn pieces(&self, index: usize) -> &[Piece] {
        &self.pieces[self.starts[index] as usize..self.starts[index + 1] as usize]
    }
}

fn cut(shard: &Shard, seq_len: u32, order: &[u32]) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(order.len());
    for &document in order {
        let range = shard.document(document as usize);
        let inputs = (range.end - range.start).saturating_sub(1) as u32;
        let mut start = 0;
        while start < inputs {
            let len = seq_len.min(inputs - start);
            pieces.push(Piece { document, start, len });
            start += len;
        }
    }
    pieces
}

/// The sequence of each part, and how many there are.
fn assign(pieces: &[Piece], seq_len: u32) -> (Vec<u32>, usize) {
    // Sequences by the room they have left.
    let mut open: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut n = 0;
    let of = pieces.iter().map(|piece| {
        let found =
            open.range_mut(piece.len..).next().map(|(&room, sequences)| (room, sequences.pop(), sequences.is_empty()));
        let (room, sequence) = match found {
            Some((room, Some(sequence), is_last)) => {
                if is_last {
                    open.remove(&room);
                }
                (room, sequence)
            }
            _ => {
                n += 1;
                (seq_len, n as u32 - 1)
            }
        };
        if room > piece.len {
            open.entry(room - piece.len).or_default().push(sequence);
        }
        sequence
    });
    let of = of.collect();
    (of, n)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use tutelage_run::{RandomStream, hash_bytes};
    use tutelage_testkit::Scratch;

    use super::*;
    use crate::{IGNORED, PackedSet, ShardWriter, Tail};

    fn shard(name: &str, lengths: &[usize]) -> Arc<Shard> {
        let scratch = Scratch::new(&format!("best-fit-{name}"));
        let mut writer = ShardWriter::create(&scratch.join("a"), hash_bytes(b""), 60_000).unwrap();
        let mut next = 0;
        for &len in lengths {
            writer.push(&(next..next + len as u32).collect::<Vec<_>>(), 1).unwrap();
            next += len as u32;
        }
        writer.finish().unwrap();
        Arc::new(Shard::open(&scratch.join("a")).unwrap())
    }

    #[test]
    fn parts_lie_where_they_fit_best() {
        // Inputs 6, 4, 3, 3, 2 and 25 = 10 + 10 + 5, into sequences of 10; one token alone has no input.
        let set = PackedSet::best_fit(shard("hand", &[7, 5, 4, 4, 3, 26, 1]), 10, None).unwrap();
        let lens =
            |i: usize| -> Vec<(u32, u32)> { set.pieces(i).iter().map(|piece| (piece.document, piece.len)).collect() };
        assert_eq!(set.n_sequences(), 5);
        assert_eq!((lens(0), lens(1)), (vec![(5, 10)], vec![(5, 10)]));
        assert_eq!((lens(2), lens(3)), (vec![(0, 6), (1, 4)], vec![(5, 5), (2, 3), (4, 2)]));
        assert_eq!(lens(4), [(3, 3)]);
        let sequence = set.sequence(3);
        // The end of the long document, which begins with id 23.
        assert_eq!((&sequence.ids[..5], sequence.labels[4]), (&[43, 44, 45, 46, 47][..], 48));
        assert_eq!(sequence.documents, [0..5, 5..8, 8..10]);
        assert_eq!(set.before(3, 0), (23..43).collect::<Vec<_>>());
        assert!(set.before(3, 1).is_empty());
        // The first part's last input has the second's first as its label.
        assert_eq!(set.sequence(0).labels[9], 33);
        let numbers = set.numbers();
        assert_eq!((numbers.sequences, numbers.cut_documents), (5, 1));
        assert!((numbers.padding - 7.0 / 50.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_is_lost_and_nothing_that_fits_is_cut() {
        let mut stream = RandomStream::new(3, "lengths");
        let lengths: Vec<usize> = (0..700).map(|_| 1 + (stream.uniform().powi(4) * 300.0) as usize).collect();
        let shard = shard("random", &lengths);
        let all: usize = lengths.iter().map(|n| n - 1).sum();
        for (seq_len, seed) in [(64, None), (64, Some(1)), (33, Some(2)), (512, Some(3))] {
            let set = PackedSet::best_fit(Arc::clone(&shard), seq_len, seed).unwrap();
            let mut labels = BTreeSet::new();
            for i in 0..set.n_sequences() {
                let sequence = set.sequence(i);
                assert!(sequence.ids.len() <= seq_len);
                assert!(!sequence.labels.contains(&IGNORED));
                labels.extend(sequence.labels);
                for piece in set.pieces(i) {
                    let inputs = lengths[piece.document as usize] - 1;
                    assert!(piece.len as usize == inputs || inputs > seq_len, "{piece:?} of {inputs}");
                }
            }
            // Ids are all different: every label but the first of each document, once.
            assert_eq!(labels.len(), all);
            let best = set.numbers();
            // Best-fit decreasing needs at most 11/9 of the least there can be (Johnson and others, 1974), here a few sequences more.
            assert!(best.sequences as usize <= all.div_ceil(seq_len) * 11 / 9 + 1, "{best:?}");
            let stream = PackedSet::new(Arc::clone(&shard), seq_len, seed, Tail::Keep).unwrap().numbers();
            assert!(best.cut_documents < stream.cut_documents, "{best:?} {stream:?}");
            if seq_len < 512 {
                assert!(best.padding < 0.05, "{best:?}");
            }
        }
        let [a, b] = [1, 2].map(|seed| PackedSet::best_fit(Arc::clone(&shard), 64, Some(seed)).unwrap());
        assert_ne!(a.hash(), b.hash());
        let stream = PackedSet::new(shard, 64, Some(1), Tail::Drop).unwrap();
        assert_ne!(a.hash(), stream.hash());
    }
}
