//! Which of a teacher's rows has read the same text as which of the student's.

use std::ops::Range;

use super::Across;

/// A document, or a part of one, in the teacher's tokens.
#[derive(Debug, PartialEq)]
pub(super) struct Aligned {
    /// What the teacher reads.
    pub(super) ids: Vec<i32>,
    /// For each of the student's rows the teacher's that has read the same text.
    pub(super) rows: Vec<Option<usize>>,
    /// For each of them, where several of the teacher's tokens together spell the student's next, the teacher's rows that those follow.
    pub(super) spans: Vec<Option<Range<usize>>>,
    /// For each row within a token of the teacher's that the student writes as it would write it alone: the row of its own where both had read
    /// the same.
    pub(super) within: Vec<Option<usize>>,
}

impl Across {
    /// The teacher's tokens of a part of a document, at most so many, and which rows have read the same.
    pub(super) fn align(
        &self,
        ids: &[i32],
        n_positions: usize,
    ) -> Result<Aligned, Box<dyn std::error::Error + Send + Sync>> {
        let mut text = Vec::new();
        // Bytes read after each row; nothing after what stands for no text, but at the beginning.
        let mut ends = Vec::new();
        for (row, &id) in ids.iter().enumerate() {
            match self.student.bytes(id as u32) {
                Some(bytes) => {
                    text.extend(bytes);
                    ends.push(Some(text.len()));
                }
                None => ends.push((row == 0).then_some(0)),
            }
        }
        let whole = whole_characters(&text);
        let written = std::str::from_utf8(&text[whole.clone()])?;
        let encoded = (self.encode)(written)?;
        let mut out = Vec::new();
        // Bytes that the teacher has read after each of its rows.
        let mut places: Vec<Option<usize>> = Vec::new();
        if let Some(bos) = self.teacher.bos {
            out.push(bos as i32);
            // Before a text that begins in the middle of a character it has read nothing, and the student something.
            places.push((whole.start == 0).then_some(0));
        }
        let bytes = |id: &u32| self.teacher.bytes(*id);
        let spelled: usize = encoded.iter().filter_map(bytes).map(<[u8]>::len).sum();
        // SentencePiece puts a space before a text.
        let added = spelled.saturating_sub(written.len());
        let mut at = 0;
        for id in &encoded {
            let own = bytes(id).map_or(0, <[u8]>::len);
            let same = bytes(id).is_some_and(|bytes| {
                let (start, skipped) = (at.max(added) - added, added.saturating_sub(at).min(bytes.len()));
                written.as_bytes()[start.min(written.len())..].starts_with(&bytes[skipped..])
            });
            at += own;
            out.push(*id as i32);
            // What is spelled otherwise than it was written stands for no place in it.
            places.push((same && at >= added && added <= 1).then(|| whole.start + at - added));
        }
        out.truncate(n_positions);
        let mut rows: Vec<Option<usize>> = Vec::with_capacity(ids.len());
        let mut next = 0;
        for end in ends {
            rows.push(end.and_then(|end| {
                while next < out.len() && places[next].is_none_or(|place| place < end) {
                    next += 1;
                }
                (next < out.len() && places[next] == Some(end)).then_some(next)
            }));
        }
        let span = |row: usize| {
            let (first, last) = (rows[row]?, (*rows.get(row + 1)?)?);
            let spelled = places[first..=last.max(first)].iter().all(Option::is_some);
            (last >= first + 2 && spelled).then_some(first..last)
        };
        let spans = (0..rows.len()).map(span).collect();
        let within = self.within(ids, &rows, &out);
        Ok(Aligned { ids: out, rows, spans, within })
    }

    fn within(&self, ids: &[i32], rows: &[Option<usize>], teachers: &[i32]) -> Vec<Option<usize>> {
        let mut out = vec![None; rows.len()];
        for (start, row) in rows.iter().enumerate() {
            let token = row.and_then(|row| teachers.get(row + 1));
            let Some(own) = token.and_then(|&id| self.students(id as u32)) else { continue };
            let next = ids[start + 1..].iter().map(|&id| id as u32);
            if next.len() >= own.len() && next.take(own.len()).eq(own.iter().copied()) {
                out[start + 1..start + own.len()].fill(Some(start));
            }
        }
        out
    }
}

/// The bytes that are whole characters: a part of a document may begin and end within one.
fn whole_characters(text: &[u8]) -> Range<usize> {
    let start = text.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    let end = match std::str::from_utf8(&text[start..]) {
        Ok(_) => text.len(),
        Err(error) => start + error.valid_up_to(),
    };
    start..end
}

#[cfg(test)]
mod tests {
    use super::super::Vocabulary;
    use super::*;

    fn vocabulary(entries: &[&[u8]], bos: Option<u32>, eos: u32) -> Vocabulary {
        let entries = entries.iter().map(|bytes| (*bytes != b"<>").then(|| bytes.to_vec())).collect();
        Vocabulary { entries, bos, eos }
    }

    /// Of the longest entries, after what stands before every text.
    fn greedy(entries: Vec<Vec<u8>>, before: &'static str) -> Box<super::super::vocabulary::Encode> {
        Box::new(move |text| {
            let text = [before, text].concat();
            let (mut out, mut rest) = (Vec::new(), text.as_bytes());
            while !rest.is_empty() {
                let fits = entries.iter().enumerate().filter(|(_, e)| !e.is_empty() && rest.starts_with(e));
                let (id, entry) = fits.max_by_key(|(_, e)| e.len()).ok_or("no entry")?;
                out.push(id as u32);
                rest = &rest[entry.len()..];
            }
            Ok(out)
        })
    }

    fn across(teacher_bos: bool, before: &'static str) -> Across {
        // 0 begins, 1 ends.
        let student = vocabulary(&[b"<>", b"<>", b"the", b" ca", b"t", b" sat", b"\xc3", b"\xa9", b"."], Some(0), 1);
        let own: &[&[u8]] = &[b"<>", b"<>", b"th", b"e", b" cat", b" the", b" s", b"at", b"\xc3\xa9", b"."];
        let teacher = vocabulary(own, teacher_bos.then_some(0), 1);
        let entries = own.iter().map(|e| if *e == b"<>" { Vec::new() } else { e.to_vec() }).collect();
        let divide = |text: &str| Ok(if text == " cat" { vec![3, 4] } else { Vec::new() });
        Across::new(student, teacher, greedy(entries, before), &divide).unwrap()
    }

    #[test]
    fn rows_that_have_read_the_same_are_found() {
        // <s> the| ca|t| sat|e-acute in two bytes|.|</s> beside <s> th|e| cat| s|at|e-acute|.
        let found = across(true, "").align(&[0, 2, 3, 4, 5, 6, 7, 8, 1], 100).unwrap();
        assert_eq!(found.ids, [0, 2, 3, 4, 6, 7, 8, 9]);
        assert_eq!(found.rows, [Some(0), Some(2), None, Some(3), Some(5), None, Some(6), Some(7), None]);
        // After <s> "the" is th and e, after " cat" " sat" is " s" and "at"; " ca" ends within " cat".
        assert_eq!(found.spans, [Some(0..2), None, None, Some(3..5), None, None, None, None, None]);
        // After " ca" it is within " cat", which began after "the".
        assert_eq!(found.within, [None, None, Some(1), None, None, None, None, None, None]);
        // Without a beginning of its own it has nothing to say before the first token.
        let found = across(false, "").align(&[0, 2, 3, 4], 100).unwrap();
        assert_eq!((found.ids, found.rows), (vec![2, 3, 4], vec![None, Some(1), None, Some(2)]));
    }

    #[test]
    fn a_space_before_every_text_is_no_text() {
        let found = across(true, " ").align(&[0, 2, 3, 4], 100).unwrap();
        assert_eq!((found.ids, found.rows), (vec![0, 5, 4], vec![Some(0), Some(1), None, Some(2)]));
    }

    #[test]
    fn parts_of_characters_and_long_texts_are_left_out() {
        // From the second byte of a character on.
        let found = across(true, "").align(&[7, 2, 8], 100).unwrap();
        assert_eq!((found.ids, found.rows), (vec![0, 2, 3, 9], vec![None, Some(2), Some(3)]));
        // To the first byte of one.
        let found = across(true, "").align(&[2, 6], 100).unwrap();
        assert_eq!((found.ids, found.rows), (vec![0, 2, 3], vec![Some(2), None]));
        let found = across(true, "").align(&[0, 2, 8, 8], 4).unwrap();
        assert_eq!((found.ids, found.rows), (vec![0, 2, 3, 9], vec![Some(0), Some(2), Some(3), None]));
        assert_eq!(across(true, "").align(&[], 4).unwrap().rows, []);
    }

    #[test]
    fn what_is_spelled_otherwise_has_no_place() {
        // A teacher that writes everything as dots.
        let dots = |text: &str| Ok(vec![9; text.len()]);
        let across = Across { encode: Box::new(dots), ..across(true, "") };
        assert_eq!(across.align(&[0, 2, 8], 100).unwrap().rows, [Some(0), None, Some(4)]);
    }
}
