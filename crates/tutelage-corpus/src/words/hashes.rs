//! Words by their hashes, for what compares texts: runs of letters and digits in lower case; a character of a script without spaces
//! is a word.

use std::ops::Range;

use super::class::has_no_spaces;

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Gives the hash of every word, and where it stands.
pub(crate) fn word_hashes(text: &str, mut take: impl FnMut(u64, Range<usize>)) {
    let bytes = text.as_bytes();
    let (mut hash, mut in_word) = (SEED, false);
    let (mut start, mut at) = (0, 0);
    while at < bytes.len() {
        let byte = bytes[at];
        if !in_word {
            start = at;
        }
        if byte.is_ascii_alphanumeric() {
            hash = step(hash, u64::from(byte.to_ascii_lowercase()));
            in_word = true;
            at += 1;
            continue;
        }
        let c = if byte < 128 { char::from(byte) } else { text[at..].chars().next().unwrap_or(' ') };
        let end = at;
        at += c.len_utf8();
        let is_alone = byte >= 128 && is_word_by_itself(c);
        if byte >= 128 && !is_alone && is_part_of_word(c) {
            for lower in c.to_lowercase() {
                hash = step(hash, u64::from(u32::from(lower)));
            }
            in_word = true;
            continue;
        }
        if in_word {
            take(finish(hash), start..end);
            (hash, in_word) = (SEED, false);
        }
        if is_alone {
            take(finish(step(SEED, u64::from(u32::from(c)))), end..at);
        }
    }
    if in_word {
        take(finish(hash), start..at);
    }
}

/// The hash of words in a row.
pub(crate) fn run_hash(words: &[u64]) -> u64 {
    finish(words.iter().fold(0u64, |all, &word| (all.rotate_left(9) ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93)))
}

fn step(hash: u64, code: u64) -> u64 {
    (hash ^ code).wrapping_mul(0x0000_0100_0000_01b3)
}

fn finish(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 32).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ hash >> 33
}

/// Letters, digits, and the marks on them.
fn is_part_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(u32::from(c), 0x300..=0x36f)
}

/// Scripts without spaces, and Tibetan, which has a sign between syllables.
fn is_word_by_itself(c: char) -> bool {
    has_no_spaces(c) || matches!(u32::from(c), 0x0f40..=0x0f6c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_where_they_are_said_to_be() {
        let text = "The café, 中文 x1";
        let mut found = Vec::new();
        word_hashes(text, |hash, range| found.push((hash, &text[range])));
        let names: Vec<&str> = found.iter().map(|(_, name)| *name).collect();
        assert_eq!(names, ["The", "café", "中", "文", "x1"]);
        let mut again = Vec::new();
        word_hashes("the CAFÉ", |hash, _| again.push(hash));
        assert_eq!(again, [found[0].0, found[1].0]);
        assert_ne!(run_hash(&[1, 2]), run_hash(&[2, 1]));
    }
}
