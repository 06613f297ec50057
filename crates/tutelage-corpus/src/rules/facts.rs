//! What rules look at: a text, and its words, which are found once.

use crate::words::{WordRules, Words};

/// A word of the text, by its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    start: u32,
    len: u32,
    /// How many characters it has.
    pub(super) chars: u32,
}

/// A text and what is known of it. It keeps its memory from one text to the next.
#[derive(Debug, Default)]
pub(super) struct Facts {
    text: String,
    chars: Option<usize>,
    words: Vec<Word>,
    has_words: bool,
}

impl Facts {
    /// Takes another text.
    pub(super) fn set(&mut self, text: String) {
        self.text = text;
        self.chars = None;
        self.has_words = false;
    }

    /// Gives the text back.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Characters of the text.
    pub(super) fn chars(&mut self) -> usize {
        *self.chars.get_or_insert_with(|| count_chars(&self.text))
    }

    /// The text and its words.
    pub(super) fn words(&mut self, words: &Words, rules: WordRules) -> (&str, &[Word]) {
        if !self.has_words {
            let mut found = Vec::with_capacity(self.text.len() / 4);
            words.split(&self.text, rules, &mut found);
            let base = self.text.as_ptr() as usize;
            self.words.clear();
            self.words.extend(found.iter().map(|word| Word {
                start: (word.as_ptr() as usize - base) as u32,
                len: word.len() as u32,
                chars: count_chars(word) as u32,
            }));
            self.has_words = true;
        }
        (&self.text, &self.words)
    }
}

impl Word {
    pub(super) fn of(self, text: &str) -> &str {
        &text[self.start as usize..(self.start + self.len) as usize]
    }
}

/// Characters of a text.
pub(super) fn count_chars(text: &str) -> usize {
    // Bytes that begin a character.
    text.bytes().filter(|&byte| byte & 0xc0 != 0x80).count()
}

/// Lines as Python's `splitlines` has them.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text).filter(|text| !text.is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.find(is_line_end);
        let Some(end) = end else {
            rest = None;
            return Some(text);
        };
        let mut after = end + text[end..].chars().next().map_or(0, char::len_utf8);
        if text[end..].starts_with("\r\n") {
            after += 1;
        }
        rest = Some(&text[after..]).filter(|text| !text.is_empty());
        Some(&text[..end])
    })
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// `a / b`, and 0 where there is nothing to divide by.
pub(super) fn ratio(a: usize, b: usize) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_python_ends_them() {
        // [line for line in text.splitlines()] of CPython.
        let found: Vec<&str> = lines("a\r\nb\n\nc\x0bd\u{2028}\r\re").collect();
        assert_eq!(found, ["a", "b", "", "c", "d", "", "", "e"]);
        assert_eq!(lines("a\n").collect::<Vec<_>>(), ["a"]);
        assert_eq!(lines("").count(), 0);
        assert_eq!(lines("\n").collect::<Vec<_>>(), [""]);
    }
}
