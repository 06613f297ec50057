//! What ids stand for in both vocabularies.

use std::collections::HashMap;
use std::error::Error;
use std::ops::Range;

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

impl Vocabulary {
    pub(super) fn bytes(&self, id: u32) -> Option<&[u8]> {
        self.entries.get(id as usize).and_then(Option::as_deref)
    }
}

/// Ids of a text.
pub type Ids = Result<Vec<u32>, Box<dyn Error + Send + Sync>>;

/// Divides a text into tokens.
pub type Encode = dyn Fn(&str) -> Ids + Send + Sync;

/// Two vocabularies.
pub struct Across {
    pub(super) student: Vocabulary,
    pub(super) teacher: Vocabulary,
    pub(super) encode: Box<Encode>,
    /// The teacher's ids in the order of what the student writes for them.
    pub(super) ids: Vec<u32>,
    /// What that is.
    pub(super) written: Vec<Vec<u32>>,
    /// Those for which it writes one token.
    pub(super) alone: Vec<u32>,
    /// For each of the teacher's ids its place in these.
    pub(super) places: Vec<Option<u32>>,
}

impl Across {
    /// Finds what a student writes for each of a teacher's tokens: the entry that stands for the same bytes, or several, as `divide` divides its
    /// text. `encode` divides texts into the teacher's tokens.
    ///
    /// # Errors
    /// When a text cannot be divided.
    pub fn new(
        student: Vocabulary,
        teacher: Vocabulary,
        encode: Box<Encode>,
        divide: &dyn Fn(&str) -> Ids,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut by_bytes: HashMap<&[u8], u32> = HashMap::new();
        for (id, bytes) in (0..).zip(&student.entries) {
            if let Some(bytes) = bytes.as_ref().filter(|bytes| !bytes.is_empty()) {
                by_bytes.entry(bytes).or_insert(id);
            }
        }
        let mut written: Vec<(Vec<u32>, u32)> = Vec::new();
        for (id, bytes) in (0..).zip(&teacher.entries) {
            let one = |own: &u32| vec![*own];
            let own = match bytes.as_deref() {
                _ if id == teacher.eos => vec![student.eos],
                Some(bytes) if by_bytes.contains_key(bytes) => by_bytes.get(bytes).map(one).unwrap_or_default(),
                Some(bytes) if !bytes.is_empty() => several(&student, bytes, divide)?,
                _ => continue,
            };
            if !own.is_empty() {
                written.push((own, id));
            }
        }
        written.sort();
        let mut places = vec![None; teacher.entries.len()];
        for (place, (_, id)) in (0..).zip(&written) {
            places[*id as usize] = Some(place);
        }
        let alone = written.iter().filter(|(own, _)| own.len() == 1).map(|(_, id)| *id).collect();
        let (written, ids) = written.into_iter().unzip();
        Ok(Self { student, teacher, encode, ids, written, alone, places })
    }

    /// What the student writes for one of the teacher's tokens, if that is known.
    pub(super) fn students(&self, id: u32) -> Option<&[u32]> {
        let place = (*self.places.get(id as usize)?)?;
        Some(&self.written[place as usize])
    }

    /// The tokens for which the student writes this first.
    pub(super) fn beginning(&self, path: &[u32]) -> Range<usize> {
        let start = self.written.partition_point(|own| own[..] < *path);
        let n = self.written[start..].partition_point(|own| own.starts_with(path));
        start..start + n
    }

    /// Of the teacher's entries, those that the student has too, those for which it writes several, and all.
    pub fn shared(&self) -> (usize, usize, usize) {
        (self.alone.len(), self.ids.len() - self.alone.len(), self.teacher.entries.len())
    }
}

/// The student's tokens of a text; none if they do not spell it.
fn several(student: &Vocabulary, bytes: &[u8], divide: &dyn Fn(&str) -> Ids) -> Ids {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(Vec::new()) };
    let own = divide(text)?;
    let spelled: Vec<u8> = own.iter().filter_map(|&id| student.bytes(id)).flatten().copied().collect();
    Ok(if spelled == bytes { own } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &[&str], eos: u32) -> Vocabulary {
        let entries = entries.iter().map(|text| (*text != "</s>").then(|| text.as_bytes().to_vec())).collect();
        Vocabulary { entries, bos: None, eos }
    }

    fn across() -> Across {
        let student = of(&["</s>", "a", "ab", "a", "", " c"], 0);
        let teacher = of(&["ab", "x", "a", "a", "</s>", "", "aba", "ab c"], 4);
        let divide = |text: &str| {
            Ok(match text {
                "aba" => vec![2, 1],
                "ab c" => vec![2, 5],
                // What it does not know is spelled otherwise.
                _ => vec![1],
            })
        };
        Across::new(student, teacher, Box::new(|_| Ok(Vec::new())), &divide).unwrap()
    }

    #[test]
    fn entries_are_written_as_the_student_would() {
        let across = across();
        // Of two that are spelled alike the student's first; of the teacher's both.
        let expected: [(u32, &[u32]); 6] = [(4, &[0]), (2, &[1]), (3, &[1]), (0, &[2]), (6, &[2, 1]), (7, &[2, 5])];
        let found: Vec<(u32, &[u32])> =
            across.ids.iter().copied().zip(across.written.iter().map(Vec::as_slice)).collect();
        assert_eq!(found, expected);
        assert_eq!((across.students(7), across.students(1), across.students(99)), (Some(&[2, 5][..]), None, None));
        assert_eq!(across.shared(), (4, 2, 8));
    }

    #[test]
    fn beginnings_are_found() {
        let across = across();
        assert_eq!(across.beginning(&[]), 0..6);
        assert_eq!(across.beginning(&[1]), 1..3);
        assert_eq!(across.beginning(&[2]), 3..6);
        assert_eq!(across.beginning(&[2, 5]), 5..6);
        assert_eq!(across.beginning(&[2, 3]), 5..5);
        assert_eq!(across.beginning(&[9]), 6..6);
    }

    #[test]
    fn a_tokenizer_that_fails_is_named() {
        let fails = |_: &str| Err("no such word".into());
        let new = Across::new(of(&["</s>", "a"], 0), of(&["</s>", "b"], 0), Box::new(|_| Ok(Vec::new())), &fails);
        assert_eq!(new.map(drop).unwrap_err().to_string(), "no such word");
    }
}
