//! What the recipe of InternLM2 (2403.17297, 3.1.2) adds to Gopher's and C4's rules: anomalies of separators and line breaks,
//! frequency of abnormal characters, distribution of punctuation. The paper gives no numbers; these are ours.
//!
//! SlimPajama's rule of length stands here too.

use serde::{Deserialize, Serialize};

use super::facts::{Facts, ratio};
use crate::Reason;
use crate::words::{PUNCTUATION, is_space};

/// `signs`. A threshold of 0 is not looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Signs {
    /// Most line ends a character.
    pub max_line_breaks: f64,
    /// Largest share of characters that separate: `|`, and runs of four or more of one sign.
    pub max_separators: f64,
    /// Largest share of characters that texts do not have: replacement characters, controls, private use, what has no width.
    pub max_abnormal: f64,
    /// Least share of punctuation among what is no white space, in texts of `min_chars` characters.
    pub min_punctuation: f64,
    /// Largest share of punctuation among what is no white space.
    pub max_punctuation: f64,
    /// Largest share of the most frequent mark among all punctuation, in texts with 20 marks or more.
    pub max_one_mark: f64,
    /// Characters from which a text has to have punctuation.
    pub min_chars: usize,
}

impl Default for Signs {
    fn default() -> Self {
        Self {
            max_line_breaks: 0.1,
            max_separators: 0.05,
            max_abnormal: 0.005,
            min_punctuation: 0.005,
            max_punctuation: 0.3,
            max_one_mark: 0.9,
            min_chars: 500,
        }
    }
}

/// Marks from which one of them can be too frequent.
const MARKS: usize = 20;
/// Signs in a row that separate.
const RUN: usize = 4;

impl Signs {
    pub(super) fn check(&self, facts: &mut Facts) -> Result<(), Reason> {
        let n_chars = facts.chars();
        let counts = Counts::of(facts.text());
        let exceeds = |count: usize, of: usize, most: f64| most > 0.0 && ratio(count, of) > most;
        if exceeds(counts.line_breaks, n_chars, self.max_line_breaks) {
            return Err(Reason::TooManyLineBreaks);
        }
        if exceeds(counts.separators, n_chars, self.max_separators) {
            return Err(Reason::TooManySeparators);
        }
        if exceeds(counts.abnormal, n_chars, self.max_abnormal) {
            return Err(Reason::AbnormalCharacters);
        }
        let marks: usize = counts.marks.values().sum();
        if n_chars >= self.min_chars && ratio(marks, counts.visible) < self.min_punctuation {
            return Err(Reason::TooLittlePunctuation);
        }
        if exceeds(marks, counts.visible, self.max_punctuation) {
            return Err(Reason::TooMuchPunctuation);
        }
        let most = counts.marks.values().copied().max().unwrap_or(0);
        if marks >= MARKS && exceeds(most, marks, self.max_one_mark) {
            return Err(Reason::OnePunctuation);
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Counts {
    line_breaks: usize,
    separators: usize,
    abnormal: usize,
    visible: usize,
    marks: rustc_hash::FxHashMap<char, usize>,
}

impl Counts {
    fn of(text: &str) -> Self {
        let mut counts = Self::default();
        let (mut last, mut run) = ('\0', 0);
        for c in text.chars() {
            if c == '\n' {
                counts.line_breaks += 1;
            }
            if c.is_ascii_alphanumeric() {
                counts.visible += 1;
                (last, run) = (c, 0);
                continue;
            }
            let is_sign = !c.is_alphanumeric() && !is_space(c);
            run = if is_sign && c == last { run + 1 } else { usize::from(is_sign) };
            last = c;
            counts.separators += match run {
                _ if c == '|' => 1,
                RUN => RUN,
                _ if run > RUN => 1,
                _ => 0,
            };
            counts.abnormal += usize::from(is_abnormal(c));
            counts.visible += usize::from(!is_space(c));
            if PUNCTUATION.has(c) {
                *counts.marks.entry(c).or_default() += 1;
            }
        }
        counts
    }
}

fn is_abnormal(c: char) -> bool {
    matches!(
        c,
        '\u{fffd}' | '\u{0}'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1b}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}'
            | '\u{200b}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{fffc}'
            | '\u{fffe}' | '\u{ffff}' | '\u{f0000}'..='\u{10ffff}'
    )
}

/// `slimpajama`: texts shorter than this, without punctuation of ASCII, runs of white space counted once, are dropped
/// (Cerebras' `slimpajama/preprocessing/filter.py`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlimPajama {
    /// Fewest characters.
    pub min_chars: usize,
}

impl Default for SlimPajama {
    fn default() -> Self {
        Self { min_chars: 200 }
    }
}

impl SlimPajama {
    pub(super) fn check(&self, facts: &Facts) -> Result<(), Reason> {
        let mut chars = 0;
        // White space counts when something follows it.
        let mut space = false;
        for c in facts.text().chars().filter(|c| !c.is_ascii_punctuation()) {
            if is_space(c) {
                space = chars > 0;
            } else {
                // The lower case of a few letters is two.
                chars += usize::from(std::mem::take(&mut space)) + c.to_lowercase().count();
            }
            if chars >= self.min_chars {
                return Ok(());
            }
        }
        Err(Reason::ShortDoc)
    }
}
