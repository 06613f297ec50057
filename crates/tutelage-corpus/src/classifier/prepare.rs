//! How a text is written before a model cuts it at its spaces: a model remembers how its own texts were.

use serde::{Deserialize, Serialize};

use crate::words::{PUNCTUATION, has_no_spaces};

/// What is done to a text. Models of others get their texts as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepare {
    /// Letters in lower case.
    pub lowercase: bool,
    /// Spaces around every mark of punctuation, so that it does not belong to a word.
    pub split_punctuation: bool,
    /// Spaces around every character of a script without spaces between words.
    pub split_scripts: bool,
}

impl Prepare {
    /// Whether texts stay as they are.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    /// Writes `text` anew into `out`.
    pub fn write(self, text: &str, out: &mut String) {
        out.clear();
        for c in text.chars() {
            let is_apart = self.split_punctuation && PUNCTUATION.has(c) || self.split_scripts && has_no_spaces(c);
            if is_apart {
                out.extend([' ', c, ' ']);
            } else if self.lowercase && c.is_ascii() {
                out.push(c.to_ascii_lowercase());
            } else if self.lowercase {
                out.extend(c.to_lowercase());
            } else {
                out.push(c);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(lowercase: bool, split_punctuation: bool, split_scripts: bool, text: &str) -> Vec<String> {
        let mut out = String::new();
        Prepare { lowercase, split_punctuation, split_scripts }.write(text, &mut out);
        out.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn words_are_told_apart() {
        let text = "The CAFÉ, 中文x.";
        assert_eq!(written(true, true, true, text), ["the", "café", ",", "中", "文", "x", "."]);
        assert_eq!(written(false, false, true, text), ["The", "CAFÉ,", "中", "文", "x."]);
        assert_eq!(written(false, false, false, text), ["The", "CAFÉ,", "中文x."]);
        assert!(Prepare::default().is_nothing());
    }
}
