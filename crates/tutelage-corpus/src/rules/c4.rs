//! C4's rules (JMLR 21-140, 2.2), as datatrove 0.10.1 has them (`filters/c4_filters.py`): lines are dropped, and whole documents.
//! mC4's rule of paragraphs.

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::Context;
use super::facts::{Facts, count_chars, lines};
use crate::Reason;
use crate::job::Tally;
use crate::words::{is_space, strip};

/// `c4`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct C4 {
    /// Whether lines that do not end in `.`, `?`, `!` or a quotation mark are dropped.
    pub terminal_punctuation: bool,
    /// Whether marks of citations such as `[1]` are taken out.
    pub remove_citations: bool,
    /// Fewest sentences; 0 for any.
    pub min_sentences: usize,
    /// Fewest words of a line.
    pub min_words_per_line: usize,
    /// Most characters of a word, in a line that is kept; 0 for any.
    pub max_word_length: usize,
    /// Whether documents with "lorem ipsum" are dropped.
    pub lorem_ipsum: bool,
    /// Whether lines with "javascript" are dropped.
    pub javascript: bool,
    /// Whether documents with `{` are dropped.
    pub curly_bracket: bool,
    /// Whether lines about cookies and terms of use are dropped.
    pub policy: bool,
}

impl Default for C4 {
    fn default() -> Self {
        Self {
            terminal_punctuation: true,
            remove_citations: true,
            min_sentences: 5,
            min_words_per_line: 3,
            max_word_length: 1000,
            lorem_ipsum: true,
            javascript: true,
            curly_bracket: true,
            policy: true,
        }
    }
}

const POLICY: [&str; 6] =
    ["terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"];

/// What does not change from document to document.
#[derive(Debug)]
pub(super) struct Citations(Regex);

impl Citations {
    #[allow(clippy::expect_used, reason = "the pattern is a constant, which a test compiles")]
    pub(super) fn new() -> Self {
        Self(Regex::new(r"\[\d*\]|\[edit\]|\[citation needed\]").expect("a constant"))
    }
}

impl C4 {
    pub(super) fn check(&self, facts: &mut Facts, context: &Context<'_>, tally: &mut Tally) -> Result<(), Reason> {
        let mut kept = String::with_capacity(facts.text().len());
        let (mut sentences, mut any) = (0, false);
        for line in lines(facts.text()) {
            let line = strip(line);
            let (n_words, longest) = line
                .split(is_space)
                .filter(|word| !word.is_empty())
                .fold((0, 0), |(n, longest), word| (n + 1, count_chars(word).max(longest)));
            if self.max_word_length > 0 && longest > self.max_word_length {
                tally.add("c4_lines_with_a_long_word", 1);
                continue;
            }
            let without = if self.remove_citations && line.contains('[') {
                context.citations.0.replace_all(line, "")
            } else {
                line.into()
            };
            let line = &*without;
            if self.terminal_punctuation && (!line.ends_with(['.', '?', '!', '"', '\'']) || line.ends_with("...")) {
                tally.add("c4_lines_without_terminal_punctuation", 1);
                continue;
            }
            if n_words < self.min_words_per_line {
                tally.add("c4_lines_of_few_words", 1);
                continue;
            }
            let lower = line.to_lowercase();
            if self.lorem_ipsum && lower.contains("lorem ipsum") {
                return Err(Reason::LoremIpsum);
            }
            if self.javascript && lower.contains("javascript") {
                tally.add("c4_lines_with_javascript", 1);
                continue;
            }
            if self.curly_bracket && line.contains('{') {
                return Err(Reason::CurlyBracket);
            }
            if self.policy && POLICY.iter().any(|phrase| lower.contains(phrase)) {
                tally.add("c4_lines_about_policy", 1);
                continue;
            }
            if self.min_sentences > 0 {
                sentences += context.words.count_sentences(line, context.rules);
            }
            if std::mem::replace(&mut any, true) {
                kept.push('\n');
            }
            kept.push_str(line);
        }
        if sentences < self.min_sentences {
            return Err(Reason::TooFewSentences);
        }
        let kept = strip(&kept);
        if kept != facts.text() {
            let kept = kept.to_owned();
            facts.set(kept);
        }
        Ok(())
    }
}

/// `mc4_paragraphs`: enough lines that are long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mc4Paragraphs {
    /// Fewest of them.
    pub min_paragraphs: usize,
    /// Characters of a long line.
    pub min_chars: usize,
}

impl Default for Mc4Paragraphs {
    fn default() -> Self {
        Self { min_paragraphs: 3, min_chars: 200 }
    }
}

impl Mc4Paragraphs {
    pub(super) fn check(&self, facts: &Facts) -> Result<(), Reason> {
        let long = facts.text().split('\n').filter(|line| count_chars(line) >= self.min_chars);
        if long.take(self.min_paragraphs).count() < self.min_paragraphs {
            return Err(Reason::FewLongParagraphs);
        }
        Ok(())
    }
}
