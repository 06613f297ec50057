//! One word of a text that spaces were taken out of: what is split off its ends, and where it is split inside.
//!
//! The rules are spaCy's (`lang/punctuation.py`, `tokenizer.pyx`), written out instead of as regular expressions: from each end one
//! piece at a time, unless what is left is an exception; then web addresses whole; then cuts inside.

use super::class::{ALPHA, BEFORE_STOP, LOWER, PREFIX, QUOTE, SUFFIX, SYMBOL, UPPER};
use super::exceptions::Exceptions;
use super::tables::UNITS;
use super::web::WebAddress;

pub(super) struct Splitter<'s> {
    pub(super) exceptions: &'s Exceptions,
    pub(super) web: &'s WebAddress,
    /// English cuts at hyphens after digits too.
    pub(super) is_english: bool,
}

impl Splitter<'_> {
    /// Adds the pieces of `span`, which has no white space.
    pub(super) fn split<'t>(&self, span: &'t str, out: &mut Vec<&'t str>) {
        if self.exception(span, out) {
            return;
        }
        // Nothing is split off letters, and nothing inside them.
        if span.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            out.push(span);
            return;
        }
        let from = out.len();
        let (start, end, mut suffixes) = self.ends(span, out);
        let middle = &span[start..end];
        if !middle.is_empty() && !self.exception(middle, out) {
            if self.web.is_match(middle) {
                out.push(middle);
            } else {
                self.cut_inside(middle, out);
            }
        }
        let mut at = end;
        while let Some(len) = suffixes.pop() {
            out.push(&span[at..at + len]);
            at += len;
        }
        self.exceptions.mend(span, out, from);
    }

    fn exception<'t>(&self, word: &'t str, out: &mut Vec<&'t str>) -> bool {
        let Some(pieces) = self.exceptions.get(word) else { return false };
        let mut at = 0;
        for &len in pieces {
            out.push(&word[at..at + usize::from(len)]);
            at += usize::from(len);
        }
        true
    }

    /// Splits off what stands at the ends: what is left, and the lengths of the pieces behind it, from the outside in.
    fn ends<'t>(&self, span: &'t str, out: &mut Vec<&'t str>) -> (usize, usize, Vec<usize>) {
        let (mut start, mut end, mut suffixes) = (0, span.len(), Vec::new());
        let is_exception = |part: &str| self.exceptions.get(part).is_some();
        while start < end {
            let part = &span[start..end];
            if is_exception(part) {
                break;
            }
            let before = prefix(part);
            if before > 0 && before < part.len() && is_exception(&part[before..]) {
                out.push(&part[..before]);
                start += before;
                break;
            }
            let after = suffix(&part[before..]);
            if after > 0 && after < part.len() && is_exception(&part[..part.len() - after]) {
                suffixes.push(after);
                end -= after;
                break;
            }
            if before == 0 && after == 0 {
                break;
            }
            if before > 0 {
                out.push(&part[..before]);
                start += before;
            }
            if after > 0 {
                suffixes.push(after);
                end -= after;
            }
        }
        (start, end, suffixes)
    }

    fn cut_inside<'t>(&self, word: &'t str, out: &mut Vec<&'t str>) {
        let mut start = 0;
        let mut before: Option<char> = None;
        let mut at = 0;
        while let Some(c) = word[at..].chars().next() {
            let len = self.infix(word, at, c, before);
            if len == 0 {
                before = Some(c);
                at += c.len_utf8();
                continue;
            }
            // A cut at the very beginning is none.
            if at > 0 {
                if at > start {
                    out.push(&word[start..at]);
                }
                out.push(&word[at..at + len]);
                start = at + len;
            }
            before = word[at..at + len].chars().next_back();
            at += len;
        }
        if start < word.len() {
            out.push(&word[start..]);
        }
    }

    /// Bytes of the cut at `at`, where `c` stands; 0 for none.
    fn infix(&self, word: &str, at: usize, c: char, before: Option<char>) -> usize {
        if c.is_ascii_alphanumeric() {
            return 0;
        }
        let rest = &word[at..];
        let dots = leading_dots(rest);
        if dots > 1 {
            return dots;
        }
        if c == '…' || SYMBOL.has(c) {
            return c.len_utf8();
        }
        let Some(before) = before else { return 0 };
        let after = |len: usize, is_fit: &dyn Fn(char) -> bool| rest[len..].chars().next().is_some_and(is_fit);
        let is_alpha = |c: char| ALPHA.has(c);
        match c {
            '+' | '-' | '*' | '^' if before.is_ascii_digit() && after(1, &|c| c.is_ascii_digit() || c == '-') => {
                return 1;
            }
            '.' if (LOWER.has(before) || QUOTE.has(before)) && after(1, &|c| UPPER.has(c) || QUOTE.has(c)) => return 1,
            ',' if ALPHA.has(before) && after(1, &is_alpha) => return 1,
            ':' | '<' | '>' | '=' | '/' if is_word(before) && after(1, &is_alpha) => return 1,
            _ => {}
        }
        if matches!(c, '-' | '–' | '—' | '~') && (ALPHA.has(before) || self.is_english && before.is_ascii_digit()) {
            for hyphen in ["-", "–", "—", "--", "---", "——", "~"] {
                if rest.starts_with(hyphen) && after(hyphen.len(), &is_alpha) {
                    return hyphen.len();
                }
            }
        }
        0
    }
}

fn is_word(c: char) -> bool {
    ALPHA.has(c) || c.is_ascii_digit()
}

fn leading_dots(text: &str) -> usize {
    text.bytes().take_while(|&byte| byte == b'.').count()
}

/// Bytes to split off the beginning.
fn prefix(text: &str) -> usize {
    let Some(c) = text.chars().next() else { return 0 };
    if PREFIX.has(c) {
        return c.len_utf8();
    }
    match c {
        '.' => Some(leading_dots(text)).filter(|&dots| dots > 1).unwrap_or(0),
        '+' => usize::from(!text[1..].starts_with(|c: char| c.is_ascii_digit())),
        'U' if text.starts_with("US$") => 3,
        'C' | 'A' if text[1..].starts_with('$') => 2,
        _ => 0,
    }
}

/// Bytes to split off the end: the longest of all that fit.
fn suffix(text: &str) -> usize {
    let Some(c) = text.chars().next_back() else { return 0 };
    let len = c.len_utf8();
    let before = text[..text.len() - len].chars().next_back();
    let mut best = 0;
    match c {
        '.' => {
            let dots = text.bytes().rev().take_while(|&byte| byte == b'.').count();
            if dots > 1 {
                return dots;
            }
            return usize::from(is_stop(&text[..text.len() - 1]));
        }
        '…' if before == Some('…') => return 2 * len,
        's' | 'S' => match before {
            Some('\'') => best = 2,
            Some('’') => best = 4,
            _ => {}
        },
        '+' if before.is_some_and(|c| c.is_ascii_digit()) => return 1,
        _ if SUFFIX.has(c) => best = len,
        _ => {}
    }
    best.max(unit(text))
}

/// Whether the full stop after `text` ends a sentence rather than belongs to the word.
fn is_stop(text: &str) -> bool {
    let mut back = text.chars().rev();
    let Some(last) = back.next() else { return false };
    let before = back.next();
    BEFORE_STOP.has(last)
        || before == Some('°') && "FfCcKk".contains(last)
        || UPPER.has(last) && before.is_some_and(|c| UPPER.has(c))
}

/// Bytes of the unit or currency at the end, if a digit stands before it.
fn unit(text: &str) -> usize {
    // The digit is one of the last few bytes.
    let longest = UNITS.first().map_or(0, |unit| unit.len());
    let bytes = text.as_bytes();
    let tail = bytes.len().saturating_sub(longest + 1);
    let Some(digit) = bytes[tail..].iter().rposition(u8::is_ascii_digit) else { return 0 };
    let end = &text[tail + digit + 1..];
    if UNITS.contains(&end) { end.len() } else { 0 }
}
