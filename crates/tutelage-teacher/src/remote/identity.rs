//! Whether a server is still the teacher that it was.

use serde::{Deserialize, Serialize};

use crate::cache::Row;

/// What a server said of one prompt; lies beside a cache as `server.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Name of the model.
    pub(super) model: String,
    /// The prompt.
    pub(super) ids: Vec<u32>,
    /// What follows each of its tokens but the last.
    pub(super) rows: Vec<Row>,
}

/// Arithmetic in few bits depends on what else is in a batch: log-probabilities of one model may differ by so much on average.
const MEAN: f64 = 0.05;
/// Entries of a row that are compared.
const ENTRIES: usize = 5;

impl Identity {
    /// What differs, if that is more than arithmetic explains.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        if self.model != other.model {
            return Some(format!("it serves '{}', before it served '{}'", other.model, self.model));
        }
        if self.ids != other.ids || self.rows.len() != other.rows.len() {
            return Some("it was asked something else".to_owned());
        }
        let (mut sum, mut n, mut missing) = (0.0, 0usize, 0usize);
        for (before, now) in self.rows.iter().zip(&other.rows) {
            for (id, log_p) in before.iter().take(ENTRIES) {
                match now.iter().find(|entry| entry.0 == *id) {
                    Some(entry) => sum += f64::from((entry.1 - log_p).abs()),
                    None => missing += 1,
                }
                n += 1;
            }
        }
        let mean = sum / n.saturating_sub(missing).max(1) as f64;
        // At the end of a short list an entry may give way to another as likely.
        (mean > MEAN || missing * 5 > n).then(|| {
            format!("of one prompt it says log-probabilities {mean:.3} away from those before on average, {missing} of {n} entries gone")
        })
    }
}
