//! Words and sentences, counted as the published filters count them.
//!
//! Thresholds such as "at least 50 words" mean what the tool counted that they were chosen with, so words are split as datatrove
//! splits them: by spaCy's rules for English and for languages without rules of their own here, by jieba for Chinese.
//!
//! Departures: spaCy looks for its exceptions once more over several words, so one such as `:)` that begins in one word and would
//! end in the next hides another one there; here each word is looked at alone. Languages other than English and Chinese
//! have spaCy's language-independent rules, not their own lists of exceptions.

mod affixes;
mod chinese;
mod class;
mod exceptions;
mod hashes;
mod sentences;
mod tables;
mod web;

pub(crate) use chinese::Chinese;
pub(crate) use class::{NO_WORD, PUNCTUATION, TERMINAL, has_no_spaces, is_han, is_space, strip};

pub(crate) use hashes::{run_hash, word_hashes};

use affixes::Splitter;
use exceptions::Exceptions;
use web::WebAddress;

/// Whose rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WordRules {
    English,
    Chinese,
    /// What holds for every language that puts spaces between words.
    Spaced,
}

impl WordRules {
    /// By the code of a language, such as `en`, `eng`, `zh`, `zho_Hans`.
    pub(crate) fn of_language(code: &str) -> Self {
        match code.split(['_', '-']).next().unwrap_or_default() {
            "en" | "eng" => Self::English,
            "zh" | "zho" | "cmn" => Self::Chinese,
            _ => Self::Spaced,
        }
    }
}

/// Splits texts into words.
#[derive(Debug)]
pub(crate) struct Words {
    english: Exceptions,
    spaced: Exceptions,
    web: WebAddress,
    chinese: Chinese,
}

impl Words {
    pub(crate) fn new() -> Self {
        Self {
            english: Exceptions::english(),
            spaced: Exceptions::of_every_language(),
            web: WebAddress::new(),
            chinese: Chinese::default(),
        }
    }

    /// The words of `text`, punctuation among them, in order.
    pub(crate) fn split<'t>(&self, text: &'t str, rules: WordRules, out: &mut Vec<&'t str>) {
        out.clear();
        match rules {
            WordRules::Chinese => self.chinese.split(text, out),
            _ => {
                let splitter = self.splitter(rules);
                spans(text, |span| {
                    if !is_blank(span) {
                        splitter.split(span, out);
                    }
                });
            }
        }
    }

    /// How many sentences there are in `text`.
    pub(crate) fn count_sentences(&self, text: &str, rules: WordRules) -> usize {
        let mut words = Vec::new();
        match rules {
            WordRules::Chinese => self.chinese.split_all(text, &mut words),
            _ => {
                let splitter = self.splitter(rules);
                spans(text, |span| if is_blank(span) { words.push(span) } else { splitter.split(span, &mut words) });
            }
        }
        sentences::count(&words)
    }

    fn splitter(&self, rules: WordRules) -> Splitter<'_> {
        let is_english = rules == WordRules::English;
        Splitter { exceptions: if is_english { &self.english } else { &self.spaced }, web: &self.web, is_english }
    }
}

fn is_blank(span: &str) -> bool {
    span.starts_with(is_space)
}

/// Runs of white space and of anything else, but for the one space that follows a word: spaCy's first cut.
fn spans<'t>(text: &'t str, mut take: impl FnMut(&'t str)) {
    let (mut start, mut in_space) = (0, text.starts_with(is_space));
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let (space, len) = match bytes[at] {
            byte @ 0..128 => (matches!(byte, b'\t'..=b'\r' | 0x1c..=0x1f | b' '), 1),
            _ => {
                let c = text[at..].chars().next().unwrap_or(' ');
                (is_space(c), c.len_utf8())
            }
        };
        if space != in_space {
            if start < at {
                take(&text[start..at]);
            }
            start = if bytes[at] == b' ' { at + 1 } else { at };
            in_space = space;
        }
        at += len;
    }
    if start < at {
        take(&text[start..at]);
    }
}

#[cfg(test)]
mod tests;
