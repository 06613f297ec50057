//! Sentences, as spaCy's rule-based splitter has them: one ends after a mark that ends sentences and all punctuation behind it.

use super::class::{PUNCTUATION, SENTENCE_END};

/// How many sentences these words make, white space that is a word of its own among them.
pub(super) fn count(words: &[&str]) -> usize {
    let mut sentences = usize::from(!words.is_empty());
    let mut ended = false;
    for word in words {
        let mut chars = word.chars();
        let ends = matches!((chars.next(), chars.next()), (Some(c), None) if SENTENCE_END.has(c));
        if ends {
            ended = true;
        } else if ended && !word.chars().all(|c| PUNCTUATION.has(c)) {
            sentences += 1;
            ended = false;
        }
    }
    sentences
}
