//! What ids stand for in both vocabularies.

use std::collections::HashMap;
use std::error::Error;

/// A vocabulary, by what its ids stand for.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    /// Bytes of text of each id; nothing for tokens that stand for no text.
    pub entries: Vec<Option<Vec<u8>>>,
    /// Id before a text, if it has one there.
    pub bos: Option<u32>,
    /// Id that ends a document.
    pub eos: u32,
}

/// Divides a text into the teacher's tokens.
pub type Encode = dyn Fn(&str) -> Result<Vec<u32>, Box<dyn Error + Send + Sync>> + Send + Sync;

/// Two vocabularies.
pub struct Across {
    pub(super) student: Vocabulary,
    pub(super) teacher: Vocabulary,
    pub(super) encode: Box<Encode>,
    /// Ids of the teacher, and of the student for the same.
    pub(super) pairs: Vec<(u32, u32)>,
}

impl Across {
    /// Finds the entries that both have. Of several that are spelled alike the first counts.
    pub fn new(student: Vocabulary, teacher: Vocabulary, encode: Box<Encode>) -> Self {
        let mut by_bytes: HashMap<&[u8], u32> = HashMap::new();
        for (id, bytes) in (0..).zip(&student.entries) {
            if let Some(bytes) = bytes.as_ref().filter(|bytes| !bytes.is_empty()) {
                by_bytes.entry(bytes).or_insert(id);
            }
        }
        let mut pairs = vec![(teacher.eos, student.eos)];
        for (id, bytes) in (0..).zip(&teacher.entries) {
            // Each of the student's once.
            if let Some(own) = bytes.as_ref().and_then(|bytes| by_bytes.remove(&bytes[..])) {
                pairs.push((id, own));
            }
        }
        Self { student, teacher, encode, pairs }
    }

    /// Entries that both have, and all of the teacher's.
    pub fn shared(&self) -> (usize, usize) {
        (self.pairs.len(), self.teacher.entries.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_paired_by_what_they_stand_for() {
        let of = |entries: &[&str], eos| Vocabulary {
            entries: entries.iter().map(|text| (*text != "</s>").then(|| text.as_bytes().to_vec())).collect(),
            bos: None,
            eos,
        };
        let across = Across::new(
            of(&["</s>", "a", "ab", "a", "", " c"], 0),
            of(&["ab", "x", "a", "a", "</s>", ""], 4),
            Box::new(|_| Ok(Vec::new())),
        );
        assert_eq!(across.pairs, [(4, 0), (0, 2), (2, 1)]);
        assert_eq!(across.shared(), (3, 6));
    }
}
