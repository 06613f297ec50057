//! JSONL: an item a line.

use std::io::{self, BufRead};
use std::path::PathBuf;
use std::sync::Arc;

use super::bytes::{drain, open, refusal};
use super::{Chunk, Content, Item, Source, Unit, Watch};
use crate::{CorpusError, Reason};

/// The lines of a file. Blank ones are no items.
pub(super) struct Lines {
    reader: Box<dyn BufRead + Send>,
    path: PathBuf,
    max_bytes: usize,
    line: u64,
}

impl Lines {
    pub(super) fn open(unit: &Unit, max_bytes: usize, watch: &Arc<Watch>) -> Result<Self, CorpusError> {
        let path = unit.files[0].clone();
        Ok(Self { reader: open(&path, unit.packing, Arc::clone(watch))?, path, max_bytes, line: 0 })
    }
}

impl Source for Lines {
    fn fill(&mut self, chunk: &mut Chunk) -> Result<(), CorpusError> {
        while !chunk.is_full() {
            let start = chunk.bytes.len();
            self.line += 1;
            match read_line(&mut *self.reader, &mut chunk.bytes, self.max_bytes) {
                Ok(Line::End) => return Ok(()),
                Ok(Line::Whole) => {
                    let end = chunk.bytes.len();
                    if chunk.bytes[start..].iter().all(u8::is_ascii_whitespace) {
                        chunk.bytes.truncate(start);
                        continue;
                    }
                    chunk.items.push(Item { place: self.line, content: Content::Line(start..end) });
                }
                Ok(Line::TooLong(bytes)) => {
                    chunk.bytes.truncate(start);
                    let found = format!("a line of {bytes} bytes; max_record_bytes is {}", self.max_bytes);
                    chunk.damaged(self.line, Reason::TooLong, found);
                }
                Err(error) => {
                    chunk.bytes.truncate(start);
                    let damage = refusal(error, &self.path)?;
                    chunk.damaged(self.line, Reason::Truncated, damage.to_string());
                }
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), CorpusError> {
        Ok(drain(&mut *self.reader, &self.path)?)
    }
}

/// What stood before the next line end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing: the file is at its end.
    End,
    /// A line, without its end.
    Whole,
    /// One of so many bytes, of which the first are there.
    TooLong(u64),
}

/// Appends a line, but no more of it than `max_bytes`.
pub(super) fn read_line(reader: &mut dyn BufRead, out: &mut Vec<u8>, max_bytes: usize) -> io::Result<Line> {
    let (mut len, start) = (0u64, out.len());
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            if len == 0 {
                return Ok(Line::End);
            }
            break;
        }
        let end = memchr::memchr(b'\n', buffer);
        let part = &buffer[..end.unwrap_or(buffer.len())];
        let room = max_bytes.saturating_sub(out.len() - start);
        out.extend_from_slice(&part[..part.len().min(room)]);
        len += part.len() as u64;
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            break;
        }
    }
    Ok(if len > max_bytes as u64 { Line::TooLong(len) } else { Line::Whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_they_should() {
        let mut reader = io::BufReader::with_capacity(3, &b"ab\n\nlonger line\nlast"[..]);
        let mut lines = Vec::new();
        loop {
            let mut out = Vec::new();
            match read_line(&mut reader, &mut out, 5).unwrap() {
                Line::End => break,
                line => lines.push((line, String::from_utf8(out).unwrap())),
            }
        }
        let expected = [(Line::Whole, "ab"), (Line::Whole, ""), (Line::TooLong(11), "longe"), (Line::Whole, "last")];
        assert_eq!(lines, expected.map(|(line, text)| (line, text.to_owned())));
    }
}
