//! Rotary tables of a model, as long as they are needed.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use tutelage_tensor::kernels::attention::RopeTable;

use super::{DecoderConfig, RopeScaling};

/// The smallest table.
const LEAST: usize = 256;

/// Angles of a model.
#[derive(Debug)]
pub(super) struct Rope {
    scaling: RopeScaling,
    d_rotary: usize,
    theta: f64,
    n_positions: usize,
    /// Of positions from zero on; grows.
    table: Mutex<Arc<RopeTable>>,
}

impl Rope {
    pub(super) fn new(config: &DecoderConfig) -> Self {
        Self {
            scaling: config.rope_scaling.clone(),
            d_rotary: config.options.d_rotary.unwrap_or(config.d_head),
            theta: config.rope_theta,
            n_positions: config.n_positions(),
            table: Mutex::new(Arc::new(RopeTable::from_frequencies(&[], 1.0, 0))),
        }
    }

    /// A table, and for each row its place there; `documents` are row ranges of `positions`, with the documents' lengths.
    ///
    /// # Panics
    /// When a position is beyond the model's.
    pub(super) fn places(&self, positions: &[i32], documents: &[(Range<usize>, usize)]) -> (Arc<RopeTable>, Vec<i32>) {
        let longest = documents.iter().map(|(_, len)| *len).max().unwrap_or(0);
        let len = positions.iter().max().map_or(0, |&last| last as usize + 1);
        assert!(len <= self.n_positions, "position {} of a model of {}", len.saturating_sub(1), self.n_positions);
        if self.scaling.rotated_by(longest) > 0 {
            return (Arc::new(self.by_length(positions, documents)), (0..positions.len() as i32).collect());
        }
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.max_positions() < len {
            let size = len.next_power_of_two().clamp(LEAST, self.n_positions.max(LEAST));
            let (frequencies, factor) = self.scaling.frequencies(self.d_rotary, self.theta, 0);
            *table = Arc::new(RopeTable::from_frequencies(&frequencies, factor, size));
        }
        (Arc::clone(&table), positions.to_vec())
    }

    /// A row of angles for each row, by the length of its document.
    fn by_length(&self, positions: &[i32], documents: &[(Range<usize>, usize)]) -> RopeTable {
        let mut frequencies = vec![self.scaling.frequencies(self.d_rotary, self.theta, 0).0; positions.len()];
        for (rows, len) in documents {
            let (own, _) = self.scaling.frequencies(self.d_rotary, self.theta, *len);
            frequencies[rows.clone()].fill(own);
        }
        let rows = positions.iter().zip(&frequencies);
        RopeTable::from_rows(rows.map(|(&position, frequencies)| (position, &frequencies[..])), 1.0)
    }
}
