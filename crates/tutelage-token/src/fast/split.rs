//! Where texts are divided before merging, by hand for the patterns that most models have (see [`crate::pre`]).

use super::classes::{Classes, LETTER, MARK, NUMBER, SPACE};

/// A pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// GPT-2's.
    Gpt2,
    /// GPT-2's, in what is left when every digit is a piece.
    DigitsGpt2,
    /// That of GPT-4's first vocabulary, and of those like it: digits in a piece, at most, and what letters are.
    Cl100k { digits: usize, letters: u8 },
}

impl Split {
    /// By the name of the pattern.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "gpt-2" => Self::Gpt2,
            "smollm" | "starcoder" => Self::DigitsGpt2,
            "llama-bpe" => Self::Cl100k { digits: 3, letters: LETTER },
            "qwen2" => Self::Cl100k { digits: 1, letters: LETTER },
            "qwen35" => Self::Cl100k { digits: 1, letters: LETTER | MARK },
            _ => return None,
        })
    }

    /// Gives every piece.
    #[inline]
    pub(super) fn each<'t>(self, classes: &Classes, text: &'t str, mut take: impl FnMut(&'t [u8])) {
        let bytes = text.as_bytes();
        match self {
            Self::Gpt2 => whole(bytes, |at| gpt2(classes, bytes, at), take),
            Self::Cl100k { digits, letters } => whole(bytes, |at| cl100k(classes, bytes, at, digits, letters), take),
            Self::DigitsGpt2 => {
                let mut start = 0;
                for (at, c) in text.char_indices() {
                    // As the library's step has it, which asks the language, not the tables of patterns.
                    if c.is_numeric() {
                        let part = &bytes[start..at];
                        whole(part, |at| gpt2(classes, part, at), &mut take);
                        start = at + c.len_utf8();
                        take(&bytes[at..start]);
                    }
                }
                let part = &bytes[start..];
                whole(part, |at| gpt2(classes, part, at), &mut take);
            }
        }
    }
}

#[inline]
fn whole<'t>(bytes: &'t [u8], end: impl Fn(usize) -> usize, mut take: impl FnMut(&'t [u8])) {
    let mut at = 0;
    while at < bytes.len() {
        let next = end(at);
        take(&bytes[at..next]);
        at = next;
    }
}

/// Where a run of characters ends of which `is_in` holds.
#[inline]
fn run(classes: &Classes, bytes: &[u8], mut at: usize, is_in: impl Fn(u8) -> bool) -> usize {
    loop {
        let (class, len) = classes.at(bytes, at);
        if len == 0 || !is_in(class) {
            return at;
        }
        at += len;
    }
}

/// `\s+(?!\S)|\s+`: white space up to the end, or all but the last of it, or one.
fn spaces(classes: &Classes, bytes: &[u8], at: usize) -> usize {
    let (mut end, mut last) = (at, at);
    loop {
        let (class, len) = classes.at(bytes, end);
        if len == 0 {
            return end;
        }
        if class & SPACE == 0 {
            return if last > at { last } else { end };
        }
        last = end;
        end += len;
    }
}

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
#[inline]
fn gpt2(classes: &Classes, bytes: &[u8], at: usize) -> usize {
    if bytes[at] == b'\'' {
        match bytes[at + 1..] {
            [b's' | b't' | b'm' | b'd', ..] => return at + 2,
            [b'r' | b'v', b'e', ..] | [b'l', b'l', ..] => return at + 3,
            _ => {}
        }
    }
    let (mut class, mut from) = (classes.at(bytes, at).0, at);
    if bytes[at] == b' ' && at + 1 < bytes.len() {
        (class, from) = (classes.at(bytes, at + 1).0, at + 1);
    }
    if class & SPACE != 0 {
        return spaces(classes, bytes, at);
    }
    match class & (LETTER | NUMBER) {
        0 => run(classes, bytes, from, |class| class & (LETTER | NUMBER | SPACE) == 0),
        kind => run(classes, bytes, from, |class| class & kind != 0),
    }
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,DIGITS}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
#[inline]
fn cl100k(classes: &Classes, bytes: &[u8], at: usize, digits: usize, letters: u8) -> usize {
    let first = bytes[at];
    if first == b'\''
        && let Some(len) = contraction(&bytes[at + 1..])
    {
        return at + 1 + len;
    }
    let (class, len) = classes.at(bytes, at);
    let is_letter = |class: u8| class & letters != 0;
    if is_letter(class) {
        return run(classes, bytes, at, is_letter);
    }
    if class & NUMBER != 0 {
        let mut end = at;
        for _ in 0..digits {
            let (class, len) = classes.at(bytes, end);
            if class & NUMBER == 0 {
                break;
            }
            end += len;
        }
        return end;
    }
    if !matches!(first, b'\r' | b'\n') && is_letter(classes.at(bytes, at + len).0) {
        return run(classes, bytes, at + len, is_letter);
    }
    let is_other = |class: u8| class & (letters | NUMBER | SPACE) == 0;
    let from = if first == b' ' { at + 1 } else { at };
    if from < bytes.len() && is_other(classes.at(bytes, from).0) {
        let end = run(classes, bytes, from, is_other);
        return end + bytes[end..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    }
    let end = run(classes, bytes, at, |class| class & SPACE != 0);
    match bytes[at..end].iter().rposition(|byte| matches!(byte, b'\r' | b'\n')) {
        Some(newline) => at + newline + 1,
        None => spaces(classes, bytes, at),
    }
}

/// What follows an apostrophe, in either case; U+017F is an `s` there.
fn contraction(rest: &[u8]) -> Option<usize> {
    let lower = |at: usize| rest.get(at).map_or(0, u8::to_ascii_lowercase);
    match (lower(0), lower(1)) {
        (b's' | b't' | b'm' | b'd', _) => Some(1),
        (b'r' | b'v', b'e') | (b'l', b'l') => Some(2),
        _ if rest.starts_with("\u{17f}".as_bytes()) => Some(2),
        _ => None,
    }
}
