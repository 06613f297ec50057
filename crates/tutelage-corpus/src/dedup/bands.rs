//! Bands and rows: which similarity makes two documents meet.
//!
//! Two documents of similarity s agree in a hash with probability s, so in all `rows` of a band with `s^rows`, and in one band at
//! least with `1 - (1 - s^rows)^bands` (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4.2).

use serde::Serialize;

/// How a signature is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bands {
    /// Bands.
    pub bands: usize,
    /// Hashes of a band.
    pub rows: usize,
}

impl Bands {
    /// The cut with the least error for a threshold: the area of the curve before it, and of what lacks to 1 behind it.
    pub fn for_threshold(threshold: f64, hashes: usize) -> Self {
        let mut best = (f64::INFINITY, Self { bands: 1, rows: 1 });
        for bands in 1..=hashes {
            for rows in 1..=hashes / bands {
                let cut = Self { bands, rows };
                let error = cut.area(0.0, threshold) + (1.0 - threshold) - cut.area(threshold, 1.0);
                if error < best.0 {
                    best = (error, cut);
                }
            }
        }
        best.1
    }

    /// Probability that two documents of this similarity meet.
    pub fn probability(self, similarity: f64) -> f64 {
        1.0 - (1.0 - similarity.powi(self.rows as i32)).powi(self.bands as i32)
    }

    /// Similarities from 0.1 to 1, and the probability of each.
    pub fn curve(self) -> Vec<(f64, f64)> {
        (1..=20).map(|i| f64::from(i) / 20.0).map(|s| (s, (self.probability(s) * 1e4).round() / 1e4)).collect()
    }

    fn area(self, from: f64, to: f64) -> f64 {
        const STEPS: u32 = 200;
        let width = (to - from) / f64::from(STEPS);
        (0..STEPS).map(|i| self.probability(from + (f64::from(i) + 0.5) * width) * width).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_those_that_others_found() {
        // datasketch 2.0.0, MinHashLSH(threshold, num_perm=128): (b, r).
        for (threshold, bands, rows) in [(0.5, 25, 5), (0.7, 14, 9), (0.8, 9, 13), (0.9, 5, 25)] {
            assert_eq!(Bands::for_threshold(threshold, 128), Bands { bands, rows }, "{threshold}");
        }
        let cut = Bands { bands: 20, rows: 5 };
        // The book's table for 20 bands of 5 rows.
        for (similarity, probability) in [(0.2, 0.006), (0.4, 0.186), (0.6, 0.802), (0.8, 0.9996)] {
            assert!((cut.probability(similarity) - probability).abs() < 6e-4, "{similarity}");
        }
    }
}
