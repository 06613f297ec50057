//! A text as a set: hashes of every n words in a row.
//!
//! Words are runs of letters and digits in lower case; a character of a script without spaces is a word. White space and
//! punctuation do not count, so the same code indented in another way is the same.

/// Finds shingles, and keeps its memory.
#[derive(Debug, Default)]
pub(super) struct Shingles {
    words: Vec<u64>,
    found: Vec<u32>,
}

impl Shingles {
    /// Hashes of the runs of `n` words in `text`; of fewer words one of all. None if there is no word.
    pub(super) fn of(&mut self, text: &str, n: usize) -> &[u32] {
        self.words.clear();
        self.found.clear();
        words(text, &mut self.words);
        if self.words.is_empty() {
            return &self.found;
        }
        let n = n.min(self.words.len());
        self.found.extend(self.words.windows(n).map(|run| {
            let all =
                run.iter().fold(0u64, |all, &word| (all.rotate_left(9) ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93));
            (finish(all) >> 32) as u32
        }));
        &self.found
    }
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of every word.
fn words(text: &str, out: &mut Vec<u64>) {
    let bytes = text.as_bytes();
    let (mut hash, mut in_word) = (SEED, false);
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte.is_ascii_alphanumeric() {
            hash = step(hash, u64::from(byte.to_ascii_lowercase()));
            in_word = true;
            at += 1;
            continue;
        }
        let c = if byte < 128 { char::from(byte) } else { text[at..].chars().next().unwrap_or(' ') };
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
            out.push(finish(hash));
            (hash, in_word) = (SEED, false);
        }
        if is_alone {
            out.push(finish(step(SEED, u64::from(u32::from(c)))));
        }
    }
    if in_word {
        out.push(finish(hash));
    }
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

/// Scripts that put no spaces between words: Han, kana, Thai, Lao, Burmese, Khmer, Tibetan.
fn is_word_by_itself(c: char) -> bool {
    matches!(
        u32::from(c),
        0x0e01..=0x0edf | 0x0f40..=0x0f6c | 0x1000..=0x109f | 0x1780..=0x17d2 | 0x3041..=0x30ff | 0x3400..=0x4dbf
            | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x323af
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shingles(text: &str) -> Vec<u32> {
        Shingles::default().of(text, 3).to_vec()
    }

    #[test]
    fn what_does_not_count_changes_nothing() {
        let one = shingles("fn main() {\n  let café = 3;\n  run(café)\n}");
        assert_eq!(one.len(), 5);
        assert_eq!(one, shingles("fn MAIN {\n\t\tlet CAFÉ = 3; run café"));
        assert_ne!(one, shingles("fn main() { let café = 4; run(café) }"));
    }

    #[test]
    fn scripts_without_spaces_have_words_too() {
        assert_eq!(shingles("中文网页很多").len(), 4);
        assert_eq!(shingles("中文，网页 很多"), shingles("中文网页很多"));
        assert_eq!(shingles("two words").len(), 1);
        assert_eq!(shingles("... ---").len(), 0);
        assert_ne!(shingles("ab c d"), shingles("a bc d"));
    }
}
