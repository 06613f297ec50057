//! What a model is given.

use std::ops::Range;

use crate::{PackedSet, Sequence};

/// Label of a row that is not learned from.
pub const IGNORED: i32 = -1;

/// Sequences laid end to end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Token ids `[t]`.
    pub ids: Vec<i32>,
    /// The token after each `[t]`, or [`IGNORED`].
    pub labels: Vec<i32>,
    /// Position of each row in its document's part `[t]`.
    pub positions: Vec<i32>,
    /// Rows of each document's part; attention stays inside.
    pub documents: Vec<Range<usize>>,
    /// Number of the route of each document; nothing where documents have none.
    pub routes: Vec<u16>,
    /// Rows of each sequence, with its number in the packed set.
    pub sequences: Vec<(usize, Range<usize>)>,
}

impl Batch {
    /// The sequences `indices` of `set`.
    pub fn new(set: &PackedSet, indices: &[usize]) -> Self {
        let mut batch = Self::default();
        for &index in indices {
            batch.push(index, set.sequence(index));
        }
        batch
    }

    fn push(&mut self, index: usize, sequence: Sequence) {
        let start = self.ids.len();
        for document in &sequence.documents {
            self.positions.extend(0..document.len() as i32);
            self.documents.push(start + document.start..start + document.end);
        }
        self.sequences.push((index, start..start + sequence.ids.len()));
        self.routes.extend(sequence.routes);
        self.ids.extend(sequence.ids);
        self.labels.extend(sequence.labels);
    }

    /// Rows that are learned from.
    pub fn n_targets(&self) -> usize {
        self.labels.iter().filter(|&&label| label != IGNORED).count()
    }
}

/// Hash of a row of ids, by which a cache knows what it was made for.
pub fn hash_ids(ids: &[i32]) -> u64 {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let hash = tutelage_run::hash_bytes(&bytes).to_string();
    u64::from_str_radix(&hash[..16], 16).unwrap_or(0)
}
