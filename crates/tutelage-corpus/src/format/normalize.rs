//! One way to write a text.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Unicode's form NFC.
pub(super) fn nfc(text: &str) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        _ => Cow::Owned(text.nfc().collect()),
    }
}

/// Line ends and spaces of one kind, no controls, no space at the end of a line, one blank line at most, none at the ends. What
/// stands before a line stays: it may be code.
pub(super) fn whitespace(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut breaks = 0;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let c = match c {
            '\r' => {
                rest.next_if_eq(&'\n');
                '\n'
            }
            c if is_break(c) => '\n',
            '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' => ' ',
            '\t' => c,
            '\u{feff}' | '\u{fffe}' | '\u{ffff}' => continue,
            c if c.is_control() => continue,
            c => c,
        };
        if c == '\n' {
            breaks += 1;
            continue;
        }
        if breaks > 0 {
            out.truncate(out.trim_end_matches([' ', '\t']).len());
            if !out.is_empty() {
                out.push_str(if breaks > 1 { "\n\n" } else { "\n" });
            }
            // A line of spaces is a blank line.
            if c == ' ' || c == '\t' {
                let mut indent = String::from(c);
                while let Some(c) = rest.next_if(|c| *c == ' ' || *c == '\t') {
                    indent.push(c);
                }
                if rest.peek().is_none_or(|&c| is_break(c)) {
                    let len = out.trim_end_matches('\n').len();
                    out.truncate(len);
                    breaks = breaks.max(1);
                    continue;
                }
                out.push_str(&indent);
                breaks = 0;
                continue;
            }
            breaks = 0;
        }
        out.push(c);
    }
    out.truncate(out.trim_end().len());
    let start = out.len() - out.trim_start_matches([' ', '\t']).len();
    if start > 0 && !out.contains('\n') {
        out.drain(..start);
    }
    out
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_composed() {
        assert_eq!(nfc("e\u{301}"), "é");
        assert!(matches!(nfc("plain é"), Cow::Borrowed(_)));
        assert_eq!(nfc("\u{1100}\u{1161}"), "가");
    }

    #[test]
    fn white_space_is_of_one_kind() {
        for (text, expected) in [
            ("a\r\nb\rc\u{2028}d", "a\nb\nc\nd"),
            ("  one  \n\n\n\n\n  two\t\n", "  one\n\n  two"),
            ("a\n \t \n\n b", "a\n\n b"),
            ("a\n  \nb", "a\n\nb"),
            ("a\u{a0}b\u{2009}c\0\u{7}\u{feff}d", "a b cd"),
            ("\n\n a", "a"),
            ("  \n ", ""),
            ("中\u{3000}文\u{200d}", "中\u{3000}文\u{200d}"),
            ("", ""),
        ] {
            assert_eq!(whitespace(text), expected, "{text:?}");
            assert_eq!(whitespace(expected), expected, "twice: {text:?}");
        }
    }
}
