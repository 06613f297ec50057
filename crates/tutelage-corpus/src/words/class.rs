//! Classes of characters.

use super::tables;

/// A set of characters: a bit each for ASCII, ranges for the rest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Class {
    ascii: u128,
    ranges: &'static [(u32, u32)],
}

impl Class {
    const fn of(ranges: &'static [(u32, u32)]) -> Self {
        let (mut ascii, mut i) = (0, 0);
        while i < ranges.len() {
            let (mut code, last) = ranges[i];
            while code <= last && code < 128 {
                ascii |= 1 << code;
                code += 1;
            }
            i += 1;
        }
        Self { ascii, ranges }
    }

    /// Whether the character is in it.
    pub(crate) fn has(self, c: char) -> bool {
        let code = u32::from(c);
        if code < 128 {
            return self.ascii >> code & 1 == 1;
        }
        let after = self.ranges.partition_point(|&(first, _)| first <= code);
        after > 0 && code <= self.ranges[after - 1].1
    }
}

pub(crate) const ALPHA: Class = Class::of(tables::ALPHA);
pub(crate) const LOWER: Class = Class::of(tables::LOWER);
pub(crate) const UPPER: Class = Class::of(tables::UPPER);
pub(crate) const QUOTE: Class = Class::of(tables::QUOTE);
pub(crate) const SYMBOL: Class = Class::of(tables::SYMBOL);
pub(crate) const PREFIX: Class = Class::of(tables::PREFIX);
pub(crate) const SUFFIX: Class = Class::of(tables::SUFFIX);
pub(crate) const BEFORE_STOP: Class = Class::of(tables::BEFORE_STOP);
pub(crate) const PUNCTUATION: Class = Class::of(tables::PUNCTUATION);
pub(crate) const SENTENCE_END: Class = Class::of(tables::SENTENCE_END);
pub(crate) const NO_WORD: Class = Class::of(tables::NO_WORD);
pub(crate) const TERMINAL: Class = Class::of(tables::TERMINAL);

/// White space as Python has it: Unicode's, and the four separators of ASCII.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// The text without white space, as Python has it, at its ends.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Whether a character is Chinese: a Han ideograph.
pub(crate) fn is_han(c: char) -> bool {
    matches!(u32::from(c), 0x4e00..=0x9fff | 0x3400..=0x4dbf | 0xf900..=0xfaff | 0x20000..=0x323af)
}

/// Scripts that put no spaces between words: Han, kana, Thai, Lao, Burmese, Khmer.
pub(crate) fn has_no_spaces(c: char) -> bool {
    is_han(c) || matches!(u32::from(c), 0x0e01..=0x0edf | 0x1000..=0x109f | 0x1780..=0x17d2 | 0x3041..=0x30ff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_what_their_names_say() {
        assert!(ALPHA.has('a') && ALPHA.has('é') && ALPHA.has('я') && !ALPHA.has('1') && !ALPHA.has('-'));
        assert!(LOWER.has('a') && !LOWER.has('A') && UPPER.has('Ж') && !UPPER.has('ж'));
        assert!(PREFIX.has('(') && PREFIX.has('“') && !PREFIX.has('-') && !PREFIX.has('.'));
        assert!(TERMINAL.has('。') && TERMINAL.has('.') && !TERMINAL.has(','));
        assert!(PUNCTUATION.has('-') && !PUNCTUATION.has('$') && SYMBOL.has('\u{1f600}'));
        assert!(is_space('\x1c') && is_space('\u{3000}') && !is_space('\u{200b}'));
    }
}
