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

    /// The documents of these routes alone. What is left are no whole sequences, so that there are none.
    pub fn of_routes(&self, routes: &[u16]) -> Self {
        let mut out = Self::default();
        for (rows, route) in self.documents.iter().zip(&self.routes).filter(|(_, route)| routes.contains(route)) {
            let start = out.ids.len();
            out.ids.extend(&self.ids[rows.clone()]);
            out.labels.extend(&self.labels[rows.clone()]);
            out.positions.extend(&self.positions[rows.clone()]);
            out.documents.push(start..out.ids.len());
            out.routes.push(*route);
        }
        out
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_other_routes_are_left_out() {
        let batch = Batch {
            ids: vec![1, 2, 3, 4, 5],
            labels: vec![2, IGNORED, 4, IGNORED, 6],
            positions: vec![0, 1, 0, 1, 0],
            documents: vec![0..2, 2..4, 4..5],
            routes: vec![0, 1, 0],
            sequences: vec![(7, 0..5)],
        };
        let first = batch.of_routes(&[0]);
        assert_eq!((first.ids, first.labels), (vec![1, 2, 5], vec![2, IGNORED, 6]));
        assert_eq!((first.documents, first.routes, first.sequences), (vec![0..2, 2..3], vec![0, 0], vec![]));
        assert_eq!(batch.of_routes(&[3]), Batch::default());
    }
}
