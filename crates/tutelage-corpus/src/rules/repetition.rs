//! Gopher's repetition rules (2112.11446, table A1), as datatrove 0.10.1 counts them (`filters/gopher_repetition_filter.py`).
//!
//! Its own ways are kept, because the thresholds are used with them: all shares are of the characters of the whole text, white space
//! included; a duplicated n-gram of 5 to 10 words is one whose letters, without the spaces, were seen before, and the n words
//! of a hit are passed over at once; lines are split at runs of line ends, paragraphs at runs of two or more.
//!
//! Departure: n-grams are compared by hashes of 61 and 64 bits.

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use super::Context;
use super::facts::{Facts, Word, count_chars, ratio};
use super::ngrams::{Rolling, Seen};
use crate::Reason;
use crate::words::strip;

/// `gopher_repetition`. A threshold of 0 is not looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GopherRepetition {
    /// Largest share of lines that stood there before.
    pub dup_line_frac: f64,
    /// Largest share of paragraphs that stood there before.
    pub dup_para_frac: f64,
    /// Largest share of characters in such lines.
    pub dup_line_char_frac: f64,
    /// Largest share of characters in such paragraphs.
    pub dup_para_char_frac: f64,
    /// Of n words: largest share of characters in the most frequent n-gram.
    pub top_n_grams: Vec<(u8, f64)>,
    /// Of n words: largest share of characters in n-grams that stood there before.
    pub dup_n_grams: Vec<(u8, f64)>,
}

impl Default for GopherRepetition {
    fn default() -> Self {
        Self {
            dup_line_frac: 0.3,
            dup_para_frac: 0.3,
            dup_line_char_frac: 0.2,
            dup_para_char_frac: 0.2,
            top_n_grams: vec![(2, 0.2), (3, 0.18), (4, 0.16)],
            dup_n_grams: vec![(5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10)],
        }
    }
}

/// Memory of the counts.
#[derive(Debug, Default)]
pub(super) struct Repetition {
    seen: Seen,
    rolling: Rolling,
    /// Of each word.
    hashes: Vec<u64>,
    /// Of all words before each, and the bytes in them.
    before: Vec<(u64, usize)>,
}

impl GopherRepetition {
    pub(super) fn check(
        &self,
        facts: &mut Facts,
        context: &Context<'_>,
        memory: &mut Repetition,
    ) -> Result<(), Reason> {
        let n_chars = facts.chars();
        let exceeds = |count: usize, of: usize, most: f64| most > 0.0 && ratio(count, of) > most;
        let (paragraphs, duplicates, chars) = duplicates(split(strip(facts.text()), 2));
        if exceeds(duplicates, paragraphs, self.dup_para_frac) {
            return Err(Reason::DupParaFrac);
        }
        if exceeds(chars, n_chars, self.dup_para_char_frac) {
            return Err(Reason::DupParaCharFrac);
        }
        let (lines, duplicates, chars) = self::duplicates(split(facts.text(), 1));
        if exceeds(duplicates, lines, self.dup_line_frac) {
            return Err(Reason::DupLineFrac);
        }
        if exceeds(chars, n_chars, self.dup_line_char_frac) {
            return Err(Reason::DupLineCharFrac);
        }
        let (text, words) = facts.words(context.words, context.rules);
        memory.begin(text, words);
        for &(n, most) in &self.top_n_grams {
            if exceeds(memory.top(words, usize::from(n)), n_chars, most) {
                return Err(Reason::TopNGram(n));
            }
        }
        for &(n, most) in &self.dup_n_grams {
            if exceeds(memory.duplicated(words, usize::from(n)), n_chars, most) {
                return Err(Reason::DuplicatedNGrams(n));
            }
        }
        Ok(())
    }
}

/// The parts between runs of `least` line ends or more; empty ones too, as Python's `re.split` has them.
fn split(text: &str, least: usize) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut from = 0;
        while let Some(found) = memchr::memchr(b'\n', &text.as_bytes()[from..]) {
            let start = from + found;
            let run = text.as_bytes()[start..].iter().take_while(|&&byte| byte == b'\n').count();
            if run >= least {
                rest = Some(&text[start + run..]);
                return Some(&text[..start]);
            }
            from = start + run;
        }
        rest = None;
        Some(text)
    })
}

/// How many parts there are, how many of them stood there before, and characters of those.
pub(super) fn duplicates<'t>(parts: impl Iterator<Item = &'t str>) -> (usize, usize, usize) {
    let mut seen = FxHashSet::default();
    let (mut n, mut duplicates, mut chars) = (0, 0, 0);
    for part in parts {
        n += 1;
        if !seen.insert(part) {
            duplicates += 1;
            chars += count_chars(part);
        }
    }
    (n, duplicates, chars)
}

impl Repetition {
    fn begin(&mut self, text: &str, words: &[Word]) {
        self.hashes.clear();
        self.before.clear();
        let (mut hash, mut bytes) = (0, 0);
        self.before.push((hash, bytes));
        for word in words {
            let spelling = word.of(text).as_bytes();
            self.hashes.push(Rolling::extend(0, spelling));
            hash = self.rolling.join(hash, *self.hashes.last().unwrap_or(&0), spelling.len());
            bytes += spelling.len();
            self.before.push((hash, bytes));
        }
    }

    /// Characters of the most frequent n-gram, spaces included, times how often it stands there; of several the first.
    fn top(&mut self, words: &[Word], n: usize) -> usize {
        if n == 0 || words.len() < n {
            return 0;
        }
        let grams = words.len() - n + 1;
        self.seen.clear(grams);
        let hash = |hashes: &[u64], at: usize| hashes[at..at + n].iter().fold(n as u64, |all, &one| mix(all, one));
        let mut most = 0;
        for at in 0..grams {
            most = most.max(self.seen.add(hash(&self.hashes, at)));
        }
        let first = match most {
            1 => 0,
            _ => (0..grams).find(|&at| self.seen.count(hash(&self.hashes, at)) == most).unwrap_or(0),
        };
        let chars: usize = words[first..first + n].iter().map(|word| word.chars as usize).sum();
        (chars + n - 1) * most as usize
    }

    /// Characters of n-grams that stood there before, spaces not included.
    fn duplicated(&mut self, words: &[Word], n: usize) -> usize {
        if n == 0 || words.len() < n {
            return 0;
        }
        self.seen.clear(words.len() - n + 1);
        let (mut chars, mut at) = (0, 0);
        while at + n <= words.len() {
            let ((start, from), (end, to)) = (self.before[at], self.before[at + n]);
            let hash = self.rolling.part(start, end, to - from);
            if self.seen.add(hash) > 1 {
                chars += words[at..at + n].iter().map(|word| word.chars as usize).sum::<usize>();
                at += n;
            } else {
                at += 1;
            }
        }
        chars
    }
}

fn mix(all: u64, one: u64) -> u64 {
    (all.rotate_left(5) ^ one).wrapping_mul(0xf135_7aea_2e62_a9c5)
}
