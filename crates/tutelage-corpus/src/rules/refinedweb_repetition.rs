//! Gopher's repetition rules as DCLM counts them (`massive_web_repetition_filters` of mlfoundations/dclm at 361714b).
//!
//! Other than datatrove's: the first of several equal lines counts too; a line by itself is no repetition; words are those of
//! Unicode (UAX 29) that begin with a letter or digit, and shares are of their characters alone; of the most frequent n-grams the
//! longest counts, if it stands there twice.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use super::facts::{Facts, count_chars};
use super::ngrams::{Rolling, Seen, gram_hash};
use super::refinedweb::parts;
use crate::Reason;

/// `refinedweb_repetition`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RefinedWebRepetition {
    /// Largest share of lines that stand there more than once.
    pub dup_lines: f64,
    /// Largest share of paragraphs that do.
    pub dup_paragraphs: f64,
    /// Largest share of characters in such lines.
    pub dup_line_chars: f64,
    /// Largest share of characters in such paragraphs.
    pub dup_paragraph_chars: f64,
    /// Of n words: largest share of characters in the most frequent n-gram.
    pub top_words: Vec<(u8, f64)>,
    /// Of n words: largest share of characters in n-grams that stand there more than once.
    pub dup_words: Vec<(u8, f64)>,
}

impl Default for RefinedWebRepetition {
    fn default() -> Self {
        Self {
            dup_lines: 0.3,
            dup_paragraphs: 0.3,
            dup_line_chars: 0.2,
            dup_paragraph_chars: 0.2,
            top_words: vec![(2, 0.2), (3, 0.18), (4, 0.16)],
            dup_words: vec![(5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10)],
        }
    }
}

/// Memory of the counts.
#[derive(Debug, Default)]
pub(super) struct WordRepetition {
    seen: Seen,
    /// Hash and characters of each word.
    words: Vec<(u64, usize)>,
}

impl RefinedWebRepetition {
    pub(super) fn check(&self, facts: &Facts, memory: &mut WordRepetition) -> Result<(), Reason> {
        let text = facts.text();
        let (line_share, line_chars) = repeated(parts(text, "\n"))?;
        let (paragraph_share, paragraph_chars) = repeated(parts(text, "\n\n"))?;
        for (share, most, reason) in [
            (line_share, self.dup_lines, Reason::DupLines),
            (paragraph_share, self.dup_paragraphs, Reason::DupParagraphs),
            (line_chars, self.dup_line_chars, Reason::DupLineChars),
            (paragraph_chars, self.dup_paragraph_chars, Reason::DupParagraphChars),
        ] {
            if share > most {
                return Err(reason);
            }
        }
        memory.words.clear();
        let words = text.split_word_bounds().filter(|word| word.chars().next().is_some_and(char::is_alphanumeric));
        memory.words.extend(words.map(|word| (Rolling::extend(0, word.as_bytes()), count_chars(word))));
        let total: usize = memory.words.iter().map(|(_, chars)| chars).sum();
        for &(n, most) in &self.top_words {
            if memory.top(usize::from(n)) as f64 / total as f64 > most {
                return Err(Reason::TopWords(n));
            }
        }
        for &(n, most) in &self.dup_words {
            if memory.repeated(usize::from(n)) as f64 / total as f64 > most {
                return Err(Reason::DupWords(n));
            }
        }
        Ok(())
    }
}

/// Shares of parts, and of their characters, that stand there more than once. A text without any part is empty.
fn repeated<'t>(parts: impl Iterator<Item = &'t str>) -> Result<(f64, f64), Reason> {
    let mut counts: FxHashMap<&str, usize> = FxHashMap::default();
    let (mut n, mut chars) = (0, 0);
    for part in parts {
        n += 1;
        chars += count_chars(part);
        *counts.entry(part).or_default() += 1;
    }
    match n {
        0 => Err(Reason::Empty),
        1 => Ok((0.0, 0.0)),
        _ => {
            let again = counts.iter().filter(|(_, count)| **count > 1);
            let (parts, again) =
                again.fold((0, 0), |(parts, all), (part, count)| (parts + count, all + count_chars(part) * count));
            Ok((parts as f64 / f64::from(n), again as f64 / chars as f64))
        }
    }
}

impl WordRepetition {
    fn hash(&self, at: usize, n: usize) -> u64 {
        gram_hash(self.words[at..at + n].iter().map(|(hash, _)| *hash))
    }

    /// Counts all n-grams; how many there are, and how often the most frequent one.
    fn count(&mut self, n: usize) -> (usize, u32) {
        if n == 0 || self.words.len() < n {
            return (0, 0);
        }
        let grams = self.words.len() - n + 1;
        self.seen.clear(grams);
        let mut most = 0;
        for at in 0..grams {
            let hash = self.hash(at, n);
            most = most.max(self.seen.add(hash));
        }
        (grams, most)
    }

    /// Characters of the longest of the most frequent n-grams, times how often it stands there; 0 if all stand there once.
    fn top(&mut self, n: usize) -> usize {
        let (grams, most) = self.count(n);
        if most < 2 {
            return 0;
        }
        let chars = |at: usize| self.words[at..at + n].iter().map(|(_, chars)| chars).sum::<usize>();
        let frequent = (0..grams).filter(|&at| self.seen.count(self.hash(at, n)) == most);
        frequent.map(chars).max().unwrap_or(0) * most as usize
    }

    /// Characters of words in n-grams that stand there more than once.
    fn repeated(&mut self, n: usize) -> usize {
        let (grams, most) = self.count(n);
        if most < 2 {
            return 0;
        }
        // Up to where words are counted.
        let (mut chars, mut counted) = (0, 0);
        for at in 0..grams {
            if self.seen.count(self.hash(at, n)) > 1 {
                let from = counted.max(at);
                chars += self.words[from..at + n].iter().map(|(_, chars)| chars).sum::<usize>();
                counted = at + n;
            }
        }
        chars
    }
}
