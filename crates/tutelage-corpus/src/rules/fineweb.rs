//! FineWeb's own rules (2406.17557, 3.6), as datatrove 0.10.1 has them (`filters/fineweb_quality_filter.py`).
//!
//! Departure: a text without words, on which that divides by zero, is dropped for its line ends if it has any.

use serde::{Deserialize, Serialize};

use super::Context;
use super::facts::{Facts, count_chars, ratio};
use super::repetition::duplicates;
use crate::Reason;
use crate::words::{TERMINAL, strip};

/// `fineweb`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FineWeb {
    /// Least share of lines that end in punctuation that ends sentences.
    pub min_punctuated_lines: f64,
    /// Largest share of short lines.
    pub max_short_lines: f64,
    /// Most characters of a short line.
    pub short_line_chars: usize,
    /// Largest share of characters in lines that stood there before.
    pub max_dup_line_chars: f64,
    /// Most line ends a word.
    pub max_lines_per_word: f64,
}

impl Default for FineWeb {
    fn default() -> Self {
        Self {
            min_punctuated_lines: 0.12,
            max_short_lines: 0.67,
            short_line_chars: 30,
            max_dup_line_chars: 0.01,
            max_lines_per_word: 0.3,
        }
    }
}

impl FineWeb {
    pub(super) fn check(&self, facts: &mut Facts, context: &Context<'_>) -> Result<(), Reason> {
        let n_chars = facts.chars();
        let text = facts.text();
        let lines = || text.split('\n').filter(|line| !strip(line).is_empty());
        let (mut n_lines, mut punctuated, mut short) = (0, 0, 0);
        for line in lines() {
            n_lines += 1;
            punctuated += usize::from(line.ends_with(|c| TERMINAL.has(c)));
            short += usize::from(count_chars(line) <= self.short_line_chars);
        }
        if n_lines == 0 {
            return Err(Reason::Empty);
        }
        if ratio(punctuated, n_lines) < self.min_punctuated_lines {
            return Err(Reason::LinePunctRatio);
        }
        if ratio(short, n_lines) > self.max_short_lines {
            return Err(Reason::ShortLineRatio);
        }
        let ends = memchr::memchr_iter(b'\n', text.as_bytes()).count();
        if ratio(duplicates(lines()).2, n_chars - ends) > self.max_dup_line_chars {
            return Err(Reason::CharDupRatio);
        }
        let (_, words) = facts.words(context.words, context.rules);
        let per_word = if words.is_empty() { ends as f64 } else { ratio(ends, words.len()) };
        if per_word > self.max_lines_per_word {
            return Err(Reason::ListRatio);
        }
        Ok(())
    }
}
