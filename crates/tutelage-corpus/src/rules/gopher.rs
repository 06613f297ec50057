//! Gopher's quality rules (2112.11446, A.1.1), as datatrove 0.10.1 counts them (`filters/gopher_quality_filter.py`): the same
//! thresholds in the same order.
//!
//! Departures: a text without words, on which that divides by zero, is dropped as too short where `min_words` is 0 too.
//! `distinct_stop_words = false` counts each occurrence of a stop word.

use serde::{Deserialize, Serialize};

use super::Context;
use super::facts::{Facts, lines, ratio};
use crate::Reason;
use crate::words::{NO_WORD, is_space};

/// `gopher_quality`. A threshold of 0 is not looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GopherQuality {
    /// Fewest words that are not punctuation.
    pub min_words: usize,
    /// Most of them.
    pub max_words: usize,
    /// Least mean length of theirs, in characters.
    pub min_mean_word_length: f64,
    /// Largest mean length.
    pub max_mean_word_length: f64,
    /// Most `#` a word, and most ellipses a word.
    pub max_symbol_ratio: f64,
    /// Largest share of lines that begin with a bullet.
    pub max_bullet_lines: f64,
    /// Largest share of lines that end with an ellipsis.
    pub max_ellipsis_lines: f64,
    /// Least share of words with a letter.
    pub min_alpha_words: f64,
    /// Fewest stop words.
    pub min_stop_words: usize,
    /// Whether different stop words are counted, rather than their occurrences.
    pub distinct_stop_words: bool,
    /// The stop words.
    pub stop_words: Vec<String>,
}

/// Gopher's, for English.
pub(super) const STOP_WORDS: [&str; 8] = ["the", "be", "to", "of", "and", "that", "have", "with"];

impl Default for GopherQuality {
    fn default() -> Self {
        Self {
            min_words: 50,
            max_words: 100_000,
            min_mean_word_length: 3.0,
            max_mean_word_length: 10.0,
            max_symbol_ratio: 0.1,
            max_bullet_lines: 0.9,
            max_ellipsis_lines: 0.3,
            min_alpha_words: 0.8,
            min_stop_words: 2,
            distinct_stop_words: true,
            stop_words: STOP_WORDS.map(str::to_owned).to_vec(),
        }
    }
}

impl GopherQuality {
    pub(super) fn check(&self, facts: &mut Facts, context: &Context<'_>) -> Result<(), Reason> {
        let (text, words) = facts.words(context.words, context.rules);
        let n_words = words.len();
        let (mut n_real, mut n_chars, mut n_alpha) = (0, 0, 0);
        for word in words {
            let spelling = word.of(text);
            if is_real(spelling) {
                n_real += 1;
                n_chars += word.chars as usize;
            }
            n_alpha += usize::from(has_letter(spelling));
        }
        if n_real < self.min_words || n_words == 0 {
            return Err(Reason::GopherShortDoc);
        }
        if self.max_words > 0 && n_real > self.max_words {
            return Err(Reason::GopherLongDoc);
        }
        if n_real > 0 {
            let mean = n_chars as f64 / n_real as f64;
            if self.min_mean_word_length > 0.0 && mean < self.min_mean_word_length {
                return Err(Reason::GopherBelowAvgThreshold);
            }
            if self.max_mean_word_length > 0.0 && mean > self.max_mean_word_length {
                return Err(Reason::GopherAboveAvgThreshold);
            }
        }
        let exceeds = |count: usize, of: usize, most: f64| most > 0.0 && ratio(count, of) > most;
        if exceeds(count(text, "#"), n_words, self.max_symbol_ratio) {
            return Err(Reason::GopherTooManyHashes);
        }
        if exceeds(count(text, "...") + count(text, "…"), n_words, self.max_symbol_ratio) {
            return Err(Reason::GopherTooManyEllipsis);
        }
        let (mut n_lines, mut bullets, mut ellipses) = (0, 0, 0);
        for line in lines(text) {
            n_lines += 1;
            bullets += usize::from(line.trim_start_matches(is_space).starts_with(['•', '-']));
            let end = line.trim_end_matches(is_space);
            ellipses += usize::from(end.ends_with("...") || end.ends_with('…'));
        }
        if exceeds(bullets, n_lines, self.max_bullet_lines) {
            return Err(Reason::GopherTooManyBullets);
        }
        if exceeds(ellipses, n_lines, self.max_ellipsis_lines) {
            return Err(Reason::GopherTooManyEndEllipsis);
        }
        if self.min_alpha_words > 0.0 && ratio(n_alpha, n_words) < self.min_alpha_words {
            return Err(Reason::GopherBelowAlphaThreshold);
        }
        let spellings = words.iter().map(|word| word.of(text));
        if !has_stop_words(spellings, &self.stop_words, self.min_stop_words, self.distinct_stop_words) {
            return Err(Reason::GopherEnoughStopWords);
        }
        Ok(())
    }
}

/// Whether so many words are stop words; different ones, or occurrences.
pub(super) fn has_stop_words<W: AsRef<str>>(
    words: impl Iterator<Item = W>,
    stop_words: &[String],
    least: usize,
    distinct: bool,
) -> bool {
    let mut seen = vec![false; stop_words.len()];
    let places = words.filter_map(|word| stop_words.iter().position(|stop| stop == word.as_ref()));
    let counted = places.filter(|&at| !(std::mem::replace(&mut seen[at], true) && distinct));
    counted.take(least).count() == least
}

/// Whether there is anything but punctuation in it.
fn is_real(word: &str) -> bool {
    word.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) || word.chars().any(|c| !NO_WORD.has(c))
}

fn has_letter(word: &str) -> bool {
    word.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic()) || word.chars().any(char::is_alphabetic)
}

fn count(text: &str, part: &str) -> usize {
    memchr::memmem::find_iter(text.as_bytes(), part.as_bytes()).count()
}
