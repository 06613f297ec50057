//! Blocked words: many patterns in one pass.

use std::path::Path;

use aho_corasick::{AhoCorasick, MatchKind};
use tutelage_run::{FileError, read_text};

use crate::CorpusError;
use crate::words::has_no_spaces;

/// Words that are looked for.
#[derive(Debug)]
pub(super) struct BlockedWords {
    patterns: AhoCorasick,
}

impl BlockedWords {
    /// Reads lists of a word, or several in a row, a line; `#` begins a comment.
    pub(super) fn read<P: AsRef<Path>>(paths: &[P]) -> Result<Self, CorpusError> {
        let mut words = Vec::new();
        for path in paths {
            let text = read_text(path.as_ref())?;
            let found = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            words.extend(found.map(fold));
        }
        words.sort_unstable();
        words.dedup();
        let patterns = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&words).map_err(|error| {
            FileError::content(paths.first().map_or(Path::new(""), AsRef::as_ref), error.to_string())
        })?;
        Ok(Self { patterns })
    }

    pub(super) fn len(&self) -> usize {
        self.patterns.patterns_len()
    }

    /// How many stand in the text, up to `most`; one inside another counts once.
    pub(super) fn count(&self, text: &str, most: usize) -> usize {
        let text = fold(text);
        let (mut count, mut end) = (0, 0);
        for found in self.patterns.find_overlapping_iter(&text) {
            if found.start() >= end && stands_alone(&text, found.start(), found.end()) {
                count += 1;
                end = found.end();
                if count >= most {
                    break;
                }
            }
        }
        count
    }
}

fn fold(text: &str) -> String {
    text.to_lowercase()
}

/// Whether a word begins and ends where it was found: always in scripts that put no spaces between words.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let joins = |outside: Option<char>, inside: Option<char>| {
        let is_letter = |c: char| c.is_alphanumeric() || c == '_';
        matches!((outside, inside), (Some(a), Some(b)) if is_letter(a) && is_letter(b) && !has_no_spaces(a) && !has_no_spaces(b))
    };
    let word = &text[start..end];
    !joins(text[..start].chars().next_back(), word.chars().next())
        && !joins(text[end..].chars().next(), word.chars().next_back())
}

#[cfg(test)]
mod tests {
    use tutelage_testkit::Scratch;

    use super::*;

    #[test]
    fn words_are_found_where_they_stand_alone() {
        let folder = Scratch::new("blocked-words");
        let path = folder.join("words.txt");
        std::fs::write(&path, "# list\nass\nbad word\nÜBEL\n赌博\nx-rated\n\nass\n").unwrap();
        let words = BlockedWords::read(&[&path]).unwrap();
        assert_eq!(words.len(), 5);
        for (text, count) in [
            ("He passed the class with grass.", 0),
            ("An ASS, and another ass!", 2),
            ("a bad word here, a badword there", 1),
            ("Das ist übel. Verübeln nicht.", 1),
            ("网上赌博网站", 1),
            ("some x-rated thing, xx-rated not", 1),
            ("", 0),
        ] {
            assert_eq!(words.count(text, usize::MAX), count, "{text}");
        }
        assert_eq!(words.count("ass ass ass", 2), 2);
    }
}
