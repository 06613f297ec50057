//! What a capture has had for its students, and whether it can be what it says.

use crate::cache::{Row, most_likely_first};

/// Rows from which it is judged.
const JUDGED: u64 = 256;
/// Most mass that rows may have on average: fitted curves miss it by some hundredths.
const MASS: f64 = 1.2;
/// Least log-probability that the last entries of rows may have on average: values that are no differences, added up as if they were, fall far
/// below what 32 bits of a softmax can give.
const LOWEST: f64 = -100.0;

/// Rows counted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Coverage {
    /// The students' rows that are learned from.
    pub rows: u64,
    /// Those that a captured row speaks of.
    pub found: u64,
    /// Those of the found that teach nothing: they hold numbers that are not finite, or one id twice.
    pub broken: u64,
    /// Those of the found whose entries had more mass than one.
    pub scaled: u64,
    /// Entries of the found beyond the vocabulary, which are left out.
    pub beyond: u64,
    /// Sum of the mass of the found.
    mass: f64,
    /// Sum of their least log-probabilities.
    lowest: f64,
    /// Sums of the log-probabilities of the token that was read last, of the one after it, and of the next but one.
    log_p: [f64; 3],
    /// Rows in those sums.
    heard: u64,
}

impl Coverage {
    /// Entries of a row in falling order, their mass one at most; none of a row that cannot be one.
    pub(super) fn keep(&mut self, mut row: Row, vocab_size: usize) -> Row {
        self.found += 1;
        // What the teacher did not give was never written.
        row.retain(|entry| entry.1 != f32::NEG_INFINITY);
        let mut ids: Vec<u32> = row.iter().map(|entry| entry.0).collect();
        ids.sort_unstable();
        if row.iter().any(|entry| !entry.1.is_finite()) || ids.windows(2).any(|pair| pair[0] == pair[1]) {
            self.broken += 1;
            return Row::new();
        }
        let all = row.len();
        row.retain(|entry| (entry.0 as usize) < vocab_size);
        self.beyond += (all - row.len()) as u64;
        most_likely_first(&mut row);
        let mass: f64 = row.iter().map(|entry| f64::from(entry.1).exp()).sum();
        self.mass += mass;
        self.lowest += row.last().map_or(0.0, |entry| f64::from(entry.1));
        if mass > 1.0 {
            self.scaled += 1;
            row.iter_mut().for_each(|entry| entry.1 -= mass.ln() as f32);
        }
        row
    }

    /// Hears what a row says of the token that was read last, of the next, and of the next but one.
    pub(super) fn listen(&mut self, row: &Row, tokens: &[i32]) {
        let (Some(lowest), [last, next, after, ..]) = (row.last(), tokens) else { return };
        self.heard += 1;
        for (sum, token) in self.log_p.iter_mut().zip([last, next, after]) {
            let entry = row.iter().find(|entry| i64::from(entry.0) == i64::from(*token));
            *sum += f64::from(entry.unwrap_or(lowest).1);
        }
    }

    /// Names what cannot be: entries that are no log-probabilities, or that speak of another token than the next.
    pub(super) fn judge(&self) -> Result<(), String> {
        let &Coverage { found, broken, mass, lowest, log_p: [last, next, after], heard, .. } = self;
        if found >= JUDGED && broken * 2 > found {
            return Err(format!(
                "{broken} of {found} rows hold numbers that are not finite, or one id twice: is compression_config.yaml what it was \
                 written with?"
            ));
        }
        let [mass, lowest] = [mass, lowest].map(|sum| sum / (found - broken).max(1) as f64);
        if found >= JUDGED && mass > MASS {
            return Err(format!(
                "its entries have a mass of {mass:.2} on average, so they are no log-probabilities: is compression_config.yaml what it \
                 was written with? (Centred logits do not say how much mass they have.)"
            ));
        }
        if found >= JUDGED && lowest < LOWEST {
            return Err(format!(
                "the least likely entries of its rows have log-probabilities of {lowest:.0} on average, which no model gives: is \
                 delta_encoding of compression_config.yaml what it was written with?"
            ));
        }
        if heard >= JUDGED && next < last.max(after) {
            let mean = |sum: f64| sum / heard as f64;
            let place = if last >= after { "just read" } else { "after the next" };
            return Err(format!(
                "its rows speak of another place: on average they give the next token {:.2} nats, and {:.2} to the one {place}",
                mean(next),
                mean(last.max(after))
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_kept_as_they_can_be() {
        let mut coverage = Coverage::default();
        let ln = |p: f32| p.ln();
        // Sorted, without what was never written and what is beyond the vocabulary.
        let row = vec![(4, ln(0.2)), (3, ln(0.5)), (9, ln(0.1)), (7, f32::NEG_INFINITY)];
        assert_eq!(coverage.keep(row, 9), [(3, ln(0.5)), (4, ln(0.2))]);
        // A mass of 1.25 becomes one.
        let row = coverage.keep(vec![(0, ln(0.75)), (1, ln(0.5))], 9);
        assert!((row[0].1 - ln(0.6)).abs() < 1e-6 && (row[1].1 - ln(0.4)).abs() < 1e-6, "{row:?}");
        assert!(coverage.keep(vec![(0, ln(0.5)), (0, ln(0.25))], 9).is_empty());
        assert!(coverage.keep(vec![(0, ln(0.5)), (1, f32::NAN)], 9).is_empty());
        let Coverage { found, broken, scaled, beyond, .. } = coverage;
        assert_eq!((found, broken, scaled, beyond), (4, 2, 1, 1));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let judged = |row: &Row, tokens: &[i32]| {
            let mut coverage = Coverage::default();
            for _ in 0..JUDGED {
                let row = coverage.keep(row.clone(), 100);
                coverage.listen(&row, tokens);
            }
            coverage.judge()
        };
        let row = vec![(5, 0.6f32.ln()), (6, 0.3f32.ln())];
        assert_eq!(judged(&row, &[6, 5, 7]), Ok(()));
        assert!(judged(&row, &[5, 6, 7]).unwrap_err().contains("the one just read"));
        assert!(judged(&row, &[7, 6, 5]).unwrap_err().contains("the one after the next"));
        assert!(judged(&vec![(5, 4.0), (6, 1.0)], &[6, 5, 7]).unwrap_err().contains("no log-probabilities"));
        assert!(judged(&vec![(5, -0.1), (6, -900.0)], &[6, 5, 7]).unwrap_err().contains("-900 on average"));
        assert!(judged(&vec![(5, f32::NAN)], &[6, 5, 7]).unwrap_err().contains("256 of 256 rows"));
    }
}
