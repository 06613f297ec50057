//! RefinedWeb's rules of lines (2306.01116, G.2), as DCLM has them (`mappers/modifiers.py` of mlfoundations/dclm at 361714b): lines of
//! capitals, of digits, of counters, of one word are dropped, phrases of web shops taken out, and documents that lost too much.

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::facts::{Facts, count_chars};
use super::refinedweb::{count_words, spaced};
use crate::Reason;
use crate::job::Tally;
use crate::words::{is_space, strip};

/// `refinedweb_lines`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RefinedWebLines {
    /// Largest share of capitals among a line's characters.
    pub max_uppercase: f64,
    /// Largest share of digits.
    pub max_digits: f64,
    /// Whether lines such as "3 likes" are dropped.
    pub counters: bool,
    /// Fewest words of a line that is not empty.
    pub min_words: usize,
    /// Most words of a line that "items in cart", "Read more..." and "Sign-in" are taken out of.
    pub phrases_up_to_words: usize,
    /// Largest share of words that may be lost.
    pub max_removed_words: f64,
}

impl Default for RefinedWebLines {
    fn default() -> Self {
        Self {
            max_uppercase: 0.5,
            max_digits: 0.999_999,
            counters: true,
            min_words: 2,
            phrases_up_to_words: 10,
            max_removed_words: 0.05,
        }
    }
}

/// What does not change from document to document.
#[derive(Debug)]
pub(super) struct LinePatterns {
    counter: Regex,
    phrases: [Regex; 3],
}

impl LinePatterns {
    #[allow(clippy::expect_used, reason = "the patterns are constants, which a test compiles")]
    pub(super) fn new() -> Self {
        let counter = r"^\W*\d(?:,|\.|\d)*(?:k|m|b)?\s+(?:likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads|views|followers)\W*$";
        // The dots of the second are any characters there.
        let phrase = |pattern: &str| RegexBuilder::new(pattern).case_insensitive(true).build().expect("a constant");
        Self {
            counter: Regex::new(counter).expect("a constant"),
            phrases: [r"\s?(?:items in cart)", r"\s?(?:read more...)$", r"^(?:sign-in)\s?"].map(phrase),
        }
    }
}

impl RefinedWebLines {
    pub(super) fn check(&self, facts: &mut Facts, patterns: &LinePatterns, tally: &mut Tally) -> Result<(), Reason> {
        let words = count_words(facts.text());
        // Each rule sees what the one before left, without white space at the ends.
        let text = self.kept(facts.text(), "refinedweb_lines_of_capitals", tally, |line| {
            line.chars().filter(|c| c.is_uppercase()).count() as f64 / count_chars(line) as f64 <= self.max_uppercase
        })?;
        let text = self.kept(&text, "refinedweb_lines_of_digits", tally, |line| {
            line.chars().filter(|c| c.is_numeric()).count() as f64 / count_chars(line) as f64 <= self.max_digits
        })?;
        let text = self.kept(&text, "refinedweb_lines_of_counters", tally, |line| {
            !(self.counters && patterns.counter.is_match(&line.to_lowercase()))
        })?;
        let short = |line: &str| spaced(line).count() >= self.min_words;
        let mut text = self.kept_as_is(&text, "refinedweb_lines_of_few_words", tally, short);
        if text.is_empty() {
            return Err(Reason::NothingLeft);
        }
        for phrase in &patterns.phrases {
            text = self.without(&text, phrase, tally)?;
        }
        if text != facts.text() {
            facts.set(text);
        }
        let lost = words as f64 - count_words(facts.text()) as f64;
        if words == 0 || lost / words as f64 > self.max_removed_words {
            return Err(Reason::WordsRemoved);
        }
        Ok(())
    }

    fn kept(
        &self,
        text: &str,
        name: &'static str,
        tally: &mut Tally,
        is_kept: impl Fn(&str) -> bool,
    ) -> Result<String, Reason> {
        whole(&self.kept_as_is(text, name, tally, is_kept))
    }

    /// The lines that are empty or kept.
    fn kept_as_is(&self, text: &str, name: &'static str, tally: &mut Tally, is_kept: impl Fn(&str) -> bool) -> String {
        let mut dropped = 0;
        let lines = text.split('\n').filter(|line| {
            let kept = line.is_empty() || is_kept(line);
            dropped += u64::from(!kept);
            kept
        });
        let kept = lines.collect::<Vec<_>>().join("\n");
        tally.add(name, dropped);
        kept
    }

    fn without(&self, text: &str, phrase: &Regex, tally: &mut Tally) -> Result<String, Reason> {
        let mut lines = Vec::new();
        let mut removed = 0;
        for line in text.split('\n') {
            if !phrase.is_match(line) || spaced(line).count() > self.phrases_up_to_words {
                lines.push(line.into());
                continue;
            }
            removed += 1;
            let without = phrase.replace_all(line, "");
            if !without.chars().all(is_space) {
                lines.push(without);
            }
        }
        tally.add("refinedweb_phrases", removed);
        whole(&lines.join("\n"))
    }
}

fn whole(text: &str) -> Result<String, Reason> {
    match strip(text) {
        "" => Err(Reason::NothingLeft),
        text => Ok(text.to_owned()),
    }
}
