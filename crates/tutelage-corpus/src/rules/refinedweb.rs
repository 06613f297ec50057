//! RefinedWeb's rules (2306.01116, appendix G), as DCLM has them (`baselines_configs/dclm_baseline_refinedweb.yaml` of
//! mlfoundations/dclm at 361714b): Gopher's, counted over words between white space, and rules of lines.
//!
//! Departures: addresses of the web are not taken out of the text before.

use serde::{Deserialize, Serialize};

use super::facts::{Facts, count_chars};
use super::gopher::{STOP_WORDS, has_stop_words};
use crate::Reason;
use crate::words::{is_space, strip};

/// `refinedweb_quality`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RefinedWebQuality {
    /// Most line ends in a row; further ones are taken out. 0 for any.
    pub max_line_breaks: usize,
    /// Fewest words that begin with a letter or digit.
    pub min_words: usize,
    /// Most of them.
    pub max_words: usize,
    /// Least mean length of all words, in characters.
    pub min_mean_word_length: f64,
    /// Largest mean length.
    pub max_mean_word_length: f64,
    /// Most `#` and ellipses a word, together.
    pub max_symbol_ratio: f64,
    /// Largest share of lines that begin with a bullet.
    pub max_bullet_lines: f64,
    /// Largest share of lines that end with an ellipsis.
    pub max_ellipsis_lines: f64,
    /// Largest share of words without a letter.
    pub max_non_alpha_words: f64,
    /// Fewest stop words.
    pub min_stop_words: usize,
    /// Whether different stop words are counted, rather than their occurrences.
    pub distinct_stop_words: bool,
    /// The stop words, in lower case.
    pub stop_words: Vec<String>,
}

impl Default for RefinedWebQuality {
    fn default() -> Self {
        Self {
            max_line_breaks: 2,
            min_words: 50,
            max_words: 100_000,
            min_mean_word_length: 3.0,
            max_mean_word_length: 10.0,
            max_symbol_ratio: 0.1,
            max_bullet_lines: 0.9,
            max_ellipsis_lines: 0.3,
            max_non_alpha_words: 0.2,
            min_stop_words: 2,
            distinct_stop_words: false,
            stop_words: STOP_WORDS.map(str::to_owned).to_vec(),
        }
    }
}

/// Words between white space.
pub(super) fn spaced(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// Words that begin with a letter or digit, as fastText cuts them: at white space of ASCII.
pub(super) fn count_words(text: &str) -> usize {
    text.split([' ', '\n', '\r', '\t', '\x0b', '\x0c', '\0'])
        .filter(|word| word.chars().next().is_some_and(char::is_alphanumeric))
        .count()
}

/// Parts of a text that are not blank, without the white space around them.
pub(super) fn parts<'t>(text: &'t str, between: &'t str) -> impl Iterator<Item = &'t str> {
    text.split(between).map(strip).filter(|part| !part.is_empty())
}

impl RefinedWebQuality {
    pub(super) fn check(&self, facts: &mut Facts) -> Result<(), Reason> {
        if let Some(text) = self.without_line_breaks(facts.text()) {
            facts.set(text);
        }
        let text = facts.text();
        let n = count_words(text);
        if n < self.min_words || n > self.max_words {
            return Err(Reason::PageLength);
        }
        let (mut n_words, mut n_chars, mut without_letter) = (0usize, 0, 0);
        for word in spaced(text) {
            n_words += 1;
            n_chars += count_chars(word);
            without_letter += usize::from(!word.chars().any(char::is_alphabetic));
        }
        let mean = n_chars as f64 / n_words as f64;
        if n_words == 0 || mean < self.min_mean_word_length || mean > self.max_mean_word_length {
            return Err(Reason::WordLength);
        }
        let symbols: usize = ["#", "...", ". . .", "…"].iter().map(|symbol| text.matches(symbol).count()).sum();
        if symbols as f64 / n_words as f64 > self.max_symbol_ratio {
            return Err(Reason::SymbolRatio);
        }
        let (mut n_lines, mut bullets, mut ellipses) = (0, 0, 0);
        for line in parts(text, "\n") {
            n_lines += 1;
            bullets += usize::from(line.starts_with(['●', '•', '*', '-']));
            ellipses += usize::from(["...", ". . .", "…"].iter().any(|end| line.ends_with(end)));
        }
        if f64::from(bullets as u32) > self.max_bullet_lines * f64::from(n_lines) {
            return Err(Reason::BulletRatio);
        }
        if f64::from(ellipses as u32) > self.max_ellipsis_lines * f64::from(n_lines) {
            return Err(Reason::EllipsisRatio);
        }
        if without_letter as f64 / n_words as f64 > self.max_non_alpha_words {
            return Err(Reason::AlphabeticRatio);
        }
        let lower = spaced(text).map(str::to_lowercase);
        if !has_stop_words(lower, &self.stop_words, self.min_stop_words, self.distinct_stop_words) {
            return Err(Reason::StopWords);
        }
        Ok(())
    }

    fn without_line_breaks(&self, text: &str) -> Option<String> {
        let most = self.max_line_breaks;
        if most == 0 || !text.contains(&"\n".repeat(most + 1)) {
            return None;
        }
        let mut run = 0;
        let kept = text.chars().filter(|&c| {
            run = if c == '\n' { run + 1 } else { 0 };
            run <= most
        });
        Some(kept.collect())
    }
}
