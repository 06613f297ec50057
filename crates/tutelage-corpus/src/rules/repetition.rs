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
use super::ngrams::{Rolling, Seen, gram_hash};
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
///
/// Most n-grams stand in a text once, and it takes one count of pairs of words, and one of bytes, to know which do: only the
/// others are counted for every n.
#[derive(Debug, Default)]
pub(super) struct Repetition {
    seen: Seen,
    rolling: Rolling,
    /// Of each word.
    hashes: Vec<u64>,
    /// Of all words before each, and the bytes in them.
    before: Vec<(u64, usize)>,
    /// The words, end to end.
    bytes: Vec<u8>,
    /// Words that begin a pair which stands there again.
    pairs: Vec<u32>,
    /// Of each word, whether the bytes from it on stand there again, at the beginning of another word.
    again: Vec<bool>,
}

/// Bytes that are compared to find `again`.
const LOOK: usize = 8;

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
        self.bytes.clear();
        let mut hash = 0;
        self.before.push((hash, 0));
        for word in words {
            let spelling = word.of(text).as_bytes();
            let own = Rolling::extend(0, spelling);
            self.hashes.push(own);
            hash = self.rolling.join(hash, own, spelling.len());
            self.bytes.extend_from_slice(spelling);
            self.before.push((hash, self.bytes.len()));
        }
        let n = words.len() as u32;
        self.seen.clear(words.len());
        let pair = |hashes: &[u64], at: u32| gram_hash(hashes[at as usize..at as usize + 2].iter().copied());
        let hashes = &self.hashes;
        let seen = &mut self.seen;
        (1..n).for_each(|at| {
            seen.add(pair(hashes, at - 1));
        });
        self.pairs.clear();
        self.pairs.extend((1..n).map(|at| at - 1).filter(|&at| seen.count(pair(hashes, at)) > 1));
        seen.clear(words.len());
        let (bytes, before) = (&self.bytes, &self.before);
        // What ends before there are so many bytes is looked at whatever it is.
        let look = |at: u32| {
            let from = before[at as usize].1;
            bytes.get(from..from + LOOK).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
        };
        (0..n).filter_map(look).for_each(|key| {
            seen.add(key);
        });
        self.again.clear();
        self.again.extend((0..n).map(|at| look(at).is_none_or(|key| seen.count(key) > 1)));
    }

    /// Characters of the most frequent n-gram, spaces included, times how often it stands there; of several the first.
    fn top(&mut self, words: &[Word], n: usize) -> usize {
        if n == 0 || words.len() < n {
            return 0;
        }
        let grams = words.len() - n + 1;
        let hash = |hashes: &[u64], at: u32| gram_hash(hashes[at as usize..at as usize + n].iter().copied());
        let (hashes, seen) = (&self.hashes, &mut self.seen);
        // One word is no pair.
        let all: Vec<u32> = if n == 1 { (0..grams as u32).collect() } else { Vec::new() };
        let again = if n == 1 { &all } else { &self.pairs };
        let again = &again[..again.partition_point(|&at| (at as usize) < grams)];
        seen.clear(again.len());
        let most = again.iter().map(|&at| seen.add(hash(hashes, at))).max().unwrap_or(1);
        let first = match most {
            1 => 0,
            _ => again.iter().find(|&&at| seen.count(hash(hashes, at)) == most).map_or(0, |&at| at as usize),
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
            // What is shorter than was looked at may be equal to what goes on in another way.
            let may_be_again = self.again[at] || to - from < LOOK;
            if may_be_again && self.seen.add(self.rolling.part(start, end, to - from)) > 1 {
                chars += words[at..at + n].iter().map(|word| word.chars as usize).sum::<usize>();
                at += n;
            } else {
                at += 1;
            }
        }
        chars
    }
}
