//! What a cache's coding costs, beside what it could not cost less than.

use serde::Serialize;
use tutelage_loss::SparseTargets;

use super::CacheReader;
use super::coding::Bits;
use crate::CacheError;

/// Parts that are decoded, spread evenly.
const PARTS: usize = 16;

/// Bits of entries, on average; overheads are those of files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CodingStats {
    /// Tokens that were decoded for it.
    pub n_tokens: u64,
    /// Entries a token.
    pub entries_per_token: f64,
    /// Bits an entry for which id it is.
    pub id_bits: f64,
    /// Bits an entry for its value, and its share of the row's own numbers.
    pub value_bits: f64,
    /// The same as if each id were a number of the vocabulary's width.
    pub plain_id_bits: f64,
    /// Entropy of sets of so many of the vocabulary, all as likely: `log2 (V choose k) / k`.
    pub set_bits: f64,
    /// Entropy of "is it kept" of each id by itself, given how often each is kept here: a coding that knows that, and looks at nothing
    /// beside, cannot need less.
    pub inclusion_bits: f64,
    /// Probability that is kept, of a cache of the most likely entries.
    pub kept_mass: Option<f64>,
}

impl CacheReader {
    /// Decodes up to 16 parts. `progress` is told the tokens done.
    ///
    /// # Errors
    /// When a part is damaged.
    pub fn coding_stats(&self, progress: &mut dyn FnMut(u64)) -> Result<CodingStats, CacheError> {
        let n = self.parts().len().min(PARTS);
        let vocabulary = self.header().vocab_size;
        let mut sums = Bits::default();
        let (mut counts, mut n_tokens, mut n_entries, mut sets, mut mass) = (vec![0u64; vocabulary], 0, 0, 0.0, 0.0);
        for part in (0..n).map(|i| &self.parts()[i * self.parts().len() / n.max(1)]) {
            let mut rows = SparseTargets::new();
            self.decode(part, &mut rows)?;
            let of = |row: usize| {
                let (ids, values) = rows.row(row);
                ids.iter().copied().zip(values.iter().copied()).collect::<Vec<_>>()
            };
            let all: Vec<_> = (0..rows.n_rows()).map(of).collect();
            let cost = part.coding()?.cost(self.order(), &all);
            sums = Bits { ids: sums.ids + cost.ids, values: sums.values + cost.values };
            rows.ids.iter().for_each(|&id| counts[id as usize] += 1);
            sets += all.iter().map(|row| log2_choose(vocabulary, row.len())).sum::<f64>();
            mass += rows.values.iter().map(|&log_p| f64::from(log_p).exp()).sum::<f64>();
            n_tokens += rows.n_rows() as u64;
            n_entries += rows.ids.len() as u64;
            progress(n_tokens);
        }
        let (tokens, entries) = (n_tokens.max(1) as f64, n_entries.max(1) as f64);
        let entropy = |p: f64| if p > 0.0 && p < 1.0 { -p * p.log2() - (1.0 - p) * (1.0 - p).log2() } else { 0.0 };
        let inclusion: f64 = counts.iter().map(|&count| entropy(count as f64 / tokens)).sum();
        Ok(CodingStats {
            n_tokens,
            entries_per_token: entries / tokens,
            id_bits: sums.ids / entries,
            value_bits: sums.values / entries,
            plain_id_bits: (vocabulary as f64).log2().ceil(),
            set_bits: sets / entries,
            inclusion_bits: inclusion * tokens / entries,
            kept_mass: matches!(self.header().kept, super::Kept::TopPK { .. }).then_some(mass / tokens),
        })
    }
}

/// `log2 (n choose k)`, by adding up.
fn log2_choose(n: usize, k: usize) -> f64 {
    (0..k).map(|i| ((n - i) as f64 / (i + 1) as f64).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::log2_choose;

    #[test]
    fn sets_are_counted() {
        assert!((log2_choose(5, 2) - 10f64.log2()).abs() < 1e-12);
        assert_eq!(log2_choose(7, 0), 0.0);
        assert!((log2_choose(49_152, 49_152)).abs() < 1e-6);
    }
}
