//! A text as a set: hashes of every n words in a row.
//!
//! White space and punctuation do not count, so the same code indented in another way is the same.

use crate::words::{run_hash, word_hashes};

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
        word_hashes(text, |hash, _| self.words.push(hash));
        if self.words.is_empty() {
            return &self.found;
        }
        let n = n.min(self.words.len());
        self.found.extend(self.words.windows(n).map(|run| (run_hash(run) >> 32) as u32));
        &self.found
    }
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
