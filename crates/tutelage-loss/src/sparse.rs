//! A truncated distribution for each row.

/// Kept entries of each row's distribution, rows laid end to end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SparseTargets {
    /// Where each row's entries start, and the end `[t + 1]`.
    pub offsets: Vec<u32>,
    /// Vocabulary ids.
    pub ids: Vec<u32>,
    /// For top-p-k: natural logarithm of the teacher's probability at temperature 1.
    /// For samples: how often each was drawn.
    pub values: Vec<f32>,
}

impl SparseTargets {
    /// No rows yet.
    pub fn new() -> Self {
        Self { offsets: vec![0], ids: Vec::new(), values: Vec::new() }
    }

    /// Rows held.
    pub fn n_rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Entries of a row.
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.offsets[row] as usize..self.offsets[row + 1] as usize;
        (&self.ids[range.clone()], &self.values[range])
    }

    /// Adds a row of ids and values.
    pub fn push_row(&mut self, entries: impl IntoIterator<Item = (u32, f32)>) {
        for (id, value) in entries {
            self.ids.push(id);
            self.values.push(value);
        }
        self.end_row();
    }

    /// Ends a row whose entries were pushed to `ids` and `values`.
    pub fn end_row(&mut self) {
        self.offsets.push(self.ids.len() as u32);
    }
}

/// Whether no entry of a row has a larger value than the label's.
pub(crate) fn agrees((ids, values): (&[u32], &[f32]), label: usize) -> bool {
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    ids.iter().zip(values).any(|(&id, &value)| id as usize == label && value == largest)
}

/// Logarithms of `softmax(log_probs / temperature)`.
pub(crate) fn log_normalised(log_probs: &[f32], temperature: f32) -> Vec<f32> {
    let max = log_probs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let scaled = log_probs.iter().map(|x| (x - max) / temperature);
    let log_sum = scaled.clone().map(|x| f64::from(x).exp()).sum::<f64>().ln() as f32;
    scaled.map(|x| x - log_sum).collect()
}

/// `counts / n`: without bias where the draws are independent (2503.16870).
pub(crate) fn frequencies(counts: &[f32]) -> Vec<f32> {
    let n: f32 = counts.iter().sum();
    counts.iter().map(|c| c / n).collect()
}
