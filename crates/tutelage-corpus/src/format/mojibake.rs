//! UTF-8 that was read as Windows-1252 or Latin-1: `schÃ¶n` for `schön`.
//!
//! A character of a wrong reading is a letter such as `Ã` before signs that hardly ever stand behind one. So what is put right is
//! a run of such groups, each of which is a whole character of UTF-8: one group where its first letter is none that languages
//! put before signs (`Ã`, `Â`, `â`), two or more elsewhere. What is in doubt stays.

use encoding_rs::WINDOWS_1252;

/// The text put right, or nothing if there is nothing to do. Text that was read wrongly twice takes two rounds; each makes it
/// shorter.
pub(super) fn repaired(text: &str) -> Option<String> {
    let mut current = round(text)?;
    while let Some(better) = round(&current) {
        current = better;
    }
    Some(current)
}

fn round(text: &str) -> Option<String> {
    // Every wrong group begins with a character of these, which most texts have none of.
    if !text.chars().any(|c| byte_of(c).is_some_and(|byte| matches!(byte, 0xc2..=0xf4))) {
        return None;
    }
    let chars: Vec<char> = text.chars().collect();
    let mut out: Option<String> = None;
    let mut at = 0;
    while at < chars.len() {
        match group(&chars[at..]) {
            Some(first) if is_certain(&chars, at) => {
                let mut decoded = String::from(first.0);
                let mut next = at + first.1;
                while let Some((c, len)) = group(&chars[next..]) {
                    decoded.push(c);
                    next += len;
                }
                out.get_or_insert_with(|| chars[..at].iter().collect()).push_str(&decoded);
                at = next;
            }
            _ => {
                if let Some(out) = &mut out {
                    out.push(chars[at]);
                }
                at += 1;
            }
        }
    }
    out
}

/// The character that the group at the beginning was, and how many characters the group has.
fn group(chars: &[char]) -> Option<(char, usize)> {
    let lead = byte_of(*chars.first()?)?;
    let len = match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let mut bytes = [0; 4];
    for (byte, &c) in bytes.iter_mut().zip(chars.get(..len)?) {
        *byte = byte_of(c)?;
    }
    let decoded = std::str::from_utf8(&bytes[..len]).ok()?.chars().next()?;
    // What would be a control was none, but for the bytes that Windows-1252 has no character for.
    let is_byte = matches!(decoded, '\u{81}' | '\u{8d}' | '\u{8f}' | '\u{90}' | '\u{9d}');
    (is_byte || !decoded.is_control()).then_some((decoded, len))
}

/// Whether the group at `at` is no accident.
fn is_certain(chars: &[char], at: usize) -> bool {
    let Some((_, len)) = group(&chars[at..]) else { return false };
    if group(&chars[at + len..]).is_some() || len >= 3 {
        return true;
    }
    let before = at.checked_sub(1).map(|before| chars[before]);
    // Words in capitals may end in such a letter, before a sign that has nothing to do with it.
    let in_capitals = before.is_some_and(|c| c.is_uppercase());
    matches!(chars[at], 'Ã' | 'Â') && !in_capitals
}

/// The byte that was read as this character.
fn byte_of(c: char) -> Option<u8> {
    match u32::from(c) {
        // Latin-1, and the five places of Windows-1252 that have no character.
        code @ 0x80..=0xff => Some(code as u8),
        0..0x80 => None,
        _ => {
            let mut buffer = [0; 4];
            let (bytes, _, has_errors) = WINDOWS_1252.encode(c.encode_utf8(&mut buffer));
            match (&*bytes, has_errors) {
                ([byte], false) => Some(*byte),
                _ => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As programs read UTF-8 wrongly.
    fn wrong(text: &str) -> String {
        WINDOWS_1252.decode_without_bom_handling(text.as_bytes()).0.into_owned()
    }

    #[test]
    fn what_was_read_wrongly_is_put_right() {
        for text in [
            "schön und größer",
            "It’s “fine” — naïve café…",
            "привет, мир",
            "中文网页常常使用国标编码",
            "日本語のテキスト",
            "Ελληνικά",
            "עברית",
            "20 °C, 5 €",
            "¿Qué? ¡Hola!",
            "ok 👍 yes",
        ] {
            assert_eq!(repaired(&wrong(text)).as_deref(), Some(text), "{}", wrong(text));
            assert_eq!(repaired(&wrong(&wrong(text))).as_deref(), Some(text), "twice");
            // As part of a text that was read in the right way.
            let mixed = format!("Straße {} 中文", wrong(text));
            assert_eq!(repaired(&mixed), Some(format!("Straße {text} 中文")));
        }
    }

    #[test]
    fn what_is_right_stays() {
        for text in [
            "plain text",
            "schön",
            "Ça va, «CAFÉ»?",
            "NÃO! À bientôt…",
            "IRMÃ…",
            "Âge d’or, Â",
            "São Paulo – Brasil",
            "Ñandú €5",
            "français «à» la “carte”",
            "Ä“x",
            "ÃO",
            "Â the",
            "Việt Nam",
            "Ðà Nẵng",
            "ÓÞ",
            "Æ¼",
        ] {
            assert_eq!(repaired(text), None, "{text}");
        }
    }
}
