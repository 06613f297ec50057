//! Words that are split in their own way, or not at all: contractions, abbreviations, faces.

use rustc_hash::FxHashMap;

use super::affixes::Splitter;
use super::web::WebAddress;

/// How each exception is split: bytes of its pieces.
#[derive(Debug)]
pub(super) struct Exceptions {
    pieces: FxHashMap<&'static str, Vec<u8>>,
    longest: usize,
    /// Bit sets of what the words look like, for a look before the map.
    traits: Vec<u64>,
    /// Those that the rules would cut somewhere, by the first piece of that: their words, and themselves. They are put together again
    /// after the cut.
    cut: FxHashMap<&'static str, Vec<(Vec<&'static str>, &'static str)>>,
}

/// `=` or `-` (for every language or for English alone), the word, the bytes of its pieces.
const LIST: &str = include_str!("english.tsv");

/// Bits of `traits`.
const TRAITS: usize = 1 << 14;

/// Which bit: of the first, second and last byte and the length.
fn trait_of(word: &str) -> Option<usize> {
    let bytes = word.as_bytes();
    let (first, last) = (usize::from(*bytes.first()?), usize::from(*bytes.last()?));
    let second = usize::from(*bytes.get(1).unwrap_or(&0));
    Some((first * 389 + second * 67 + last * 7 + bytes.len() * 1021) % TRAITS)
}

impl Exceptions {
    pub(super) fn english() -> Self {
        Self::of(|_| true)
    }

    pub(super) fn of_every_language() -> Self {
        Self::of(|mark| mark == "=")
    }

    fn of(is_used: impl Fn(&str) -> bool) -> Self {
        let mut exceptions = Self::none();
        for line in LIST.lines() {
            let mut columns = line.split('\t');
            let (Some(mark), Some(word), Some(lens)) = (columns.next(), columns.next(), columns.next()) else {
                continue;
            };
            if is_used(mark) {
                let lens = lens.split(',').filter_map(|len| len.parse().ok()).collect();
                exceptions.longest = exceptions.longest.max(word.len());
                exceptions.pieces.insert(word, lens);
                let at = trait_of(word).unwrap_or(0);
                exceptions.traits[at / 64] |= 1 << (at % 64);
            }
        }
        exceptions.find_cut();
        exceptions
    }

    fn none() -> Self {
        let traits = vec![0; TRAITS / 64];
        Self { pieces: FxHashMap::default(), longest: 0, traits, cut: FxHashMap::default() }
    }

    fn find_cut(&mut self) {
        let none = Self::none();
        let web = WebAddress::new();
        let mut words: Vec<&'static str> = self.pieces.keys().copied().collect();
        words.sort_unstable();
        for word in words {
            let mut cut = Vec::new();
            Splitter { exceptions: &none, web: &web, is_english: true }.split(word, &mut cut);
            if cut.len() > 1 {
                self.cut.entry(cut[0]).or_default().push((cut, word));
            }
        }
    }

    /// Bytes of the pieces of `word`, if it is one.
    pub(super) fn get(&self, word: &str) -> Option<&[u8]> {
        let at = trait_of(word)?;
        if word.len() > self.longest || self.traits[at / 64] >> (at % 64) & 1 == 0 {
            return None;
        }
        self.pieces.get(word).map(Vec::as_slice)
    }

    /// Puts exceptions together again that were cut: `words[from..]` are those of one span, which lie end to end in it.
    pub(super) fn mend<'t>(&self, span: &'t str, words: &mut Vec<&'t str>, from: usize) {
        if words.len() < from + 2 || !words[from..].iter().any(|word| self.cut.contains_key(word)) {
            return;
        }
        // The longest first, and of those the first; what overlaps one that was looked at is left.
        let mut found: Vec<(usize, usize, &'static str)> = Vec::new();
        for start in from..words.len() {
            for (cut, word) in self.cut.get(words[start]).into_iter().flatten() {
                if words[start..].starts_with(cut) {
                    found.push((start, start + cut.len(), word));
                }
            }
        }
        found.sort_by_key(|&(start, end, _)| (std::cmp::Reverse(end - start), start));
        let mut seen = vec![false; words.len()];
        let mut chosen = Vec::new();
        for (start, end, word) in found {
            if !seen[start] && !seen[end - 1] {
                chosen.push((start, end, word));
            }
            seen[start..end].fill(true);
        }
        chosen.sort_unstable();
        let old = words.split_off(from);
        let (mut next, mut at) = (from, 0);
        for (start, end, word) in chosen {
            words.extend_from_slice(&old[next - from..start - from]);
            at += old[next - from..start - from].iter().map(|word| word.len()).sum::<usize>();
            at = self.push(span, at, word, words);
            next = end;
        }
        words.extend_from_slice(&old[next - from..]);
    }

    /// Adds the pieces of an exception that lies at `at`; returns where it ends.
    fn push<'t>(&self, span: &'t str, mut at: usize, word: &str, words: &mut Vec<&'t str>) -> usize {
        for &len in self.get(word).unwrap_or_default() {
            words.push(&span[at..at + usize::from(len)]);
            at += usize::from(len);
        }
        at
    }
}
