//! What a row of the teacher's says of the student's next token.

use super::Across;
use crate::cache::{Row, most_likely_first};

/// A row of the teacher's.
pub(super) struct Distribution<'a> {
    pub(super) logits_v: &'a [f32],
    /// Logarithm of the sum of their exponentials.
    pub(super) lse: f32,
    /// Probabilities.
    pub(super) p_v: &'a [f32],
}

impl Distribution<'_> {
    /// Log-probability of an id.
    pub(super) fn log_p(&self, id: u32) -> f32 {
        self.logits_v.get(id as usize).map_or(f32::NEG_INFINITY, |logit| logit - self.lse)
    }

    /// Probability of several ids together.
    pub(super) fn sum(&self, ids: &[u32]) -> f64 {
        ids.iter().map(|&id| self.p_v.get(id as usize).copied().map_or(0.0, f64::from)).sum()
    }
}

/// Log-probabilities of the student's tokens, after those of `path`, which it has written since it had read what the teacher has: of each the
/// mass of the teacher's tokens for which the student writes `path` and then it. With no path, all of the teacher's mass is one; else it is
/// that of the tokens that begin so.
pub(super) fn entries(across: &Across, path: &[u32], said: &Distribution<'_>) -> Row {
    let range = across.beginning(path);
    let (ids, written) = (&across.ids[range.clone()], &across.written[range]);
    let depth = path.len();
    // Tokens that end where the path ends say nothing of what follows; they come first.
    let ended = written.iter().take_while(|own| own.len() == depth).count();
    let mut out = Row::new();
    let mut at = ended;
    for same in written[ended..].chunk_by(|a, b| a[depth] == b[depth]) {
        let together = &ids[at..at + same.len()];
        at += same.len();
        let log_p = match together {
            [one] => said.log_p(*one),
            several => said.sum(several).ln() as f32,
        };
        out.push((same[0][depth], log_p));
    }
    if depth > 0 {
        let all = said.sum(ids).ln() as f32;
        out.iter_mut().for_each(|entry| entry.1 -= all);
    }
    out.retain(|entry| entry.1.is_finite());
    out
}

/// Gives `row` the student's token `whole`, which is spelled by tokens of the teacher's that have the log-probability `log_p` together, `first`
/// of the first alone. That one may be an entry too, from which this way of going on is taken.
pub(super) fn add_span(row: &mut Row, (whole, log_p): (u32, f32), first: Option<u32>, top_k: usize) {
    if row.iter().any(|entry| entry.0 == whole) || !log_p.is_finite() {
        return;
    }
    if let Some(entry) = row.iter_mut().find(|entry| Some(entry.0) == first) {
        // In f64, and nothing below zero: what is left may be little beside the whole.
        let left = f64::from(entry.1).exp() - f64::from(log_p).exp();
        entry.1 = left.max(0.0).ln() as f32;
    }
    row.push((whole, log_p));
    row.retain(|entry| entry.1.is_finite());
    most_likely_first(row);
    row.truncate(top_k);
}

#[cfg(test)]
mod tests {
    use super::super::Vocabulary;
    use super::*;

    #[test]
    fn mass_is_gathered_by_what_the_student_writes() {
        // The student has a, b, ab; the teacher ab, aba, abb, abba, b, and what ends a document.
        let of = |entries: &[&str]| {
            let entries = entries.iter().map(|text| (*text != "</s>").then(|| text.as_bytes().to_vec()));
            Vocabulary { entries: entries.collect(), bos: None, eos: 0 }
        };
        let divide = |text: &str| {
            Ok(match text {
                "aba" => vec![3, 1],
                "abb" => vec![3, 2],
                _ => vec![3, 2, 1],
            })
        };
        let (student, teacher) = (of(&["</s>", "a", "b", "ab"]), of(&["</s>", "ab", "aba", "abb", "abba", "b"]));
        let across = Across::new(student, teacher, Box::new(|_| Ok(Vec::new())), &divide).unwrap();
        let p = [0.05f32, 0.1, 0.2, 0.3, 0.15, 0.2];
        let found = |path: &[u32]| {
            let log_p = p.map(f32::ln);
            let row = entries(&across, path, &Distribution { logits_v: &log_p, lse: 0.0, p_v: &p });
            row.into_iter().map(|(id, log_p)| (id, (f64::from(log_p).exp() * 1e5).round() / 1e5)).collect::<Vec<_>>()
        };
        assert_eq!(found(&[]), [(0, 0.05), (2, 0.2), (3, 0.75)]);
        // After ab: 0.75 in all, of which 0.1 says nothing of what follows.
        assert_eq!(found(&[3]), [(1, 0.26667), (2, 0.6)]);
        assert_eq!(found(&[3, 2]), [(1, 0.33333)]);
        assert_eq!(found(&[1]), []);
        // What is too unlikely for a probability to be told leaves nothing to be taught.
        let (log_p, p) = ([-200.0; 6], [0.0; 6]);
        assert!(entries(&across, &[3], &Distribution { logits_v: &log_p, lse: 0.0, p_v: &p }).is_empty());
    }
}
