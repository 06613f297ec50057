//! WARC and WET (ISO 28500): an item a record. What is damaged is skipped to the next record.

use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use std::sync::Arc;

use super::bytes::{drain, open, refusal};
use super::lines::{Line, read_line};
use super::{Chunk, Content, Item, Source, Unit, Watch};
use crate::{CorpusError, Reason};

/// The records of a crawl that hold a page or a text; others are counted as passed.
pub(super) struct Warc {
    reader: Box<dyn BufRead + Send>,
    path: PathBuf,
    max_bytes: usize,
    record: u64,
}

/// Bytes of a record's head at most.
const HEAD: usize = 1 << 16;

impl Warc {
    pub(super) fn open(unit: &Unit, max_bytes: usize, watch: &Arc<Watch>) -> Result<Self, CorpusError> {
        let path = unit.files[0].clone();
        Ok(Self { reader: open(&path, unit.packing, Arc::clone(watch))?, path, max_bytes, record: 0 })
    }

    /// The next record; false at the end.
    fn next(&mut self, chunk: &mut Chunk) -> io::Result<bool> {
        let start = chunk.bytes.len();
        // Two line ends stand after each record.
        loop {
            chunk.bytes.truncate(start);
            match read_line(&mut *self.reader, &mut chunk.bytes, HEAD)? {
                Line::End => return Ok(false),
                _ if chunk.bytes[start..].iter().all(u8::is_ascii_whitespace) => {}
                _ => break,
            }
        }
        self.record += 1;
        if !is_first_line(&chunk.bytes[start..]) {
            return self.skip_to_record(chunk, start);
        }
        self.record_at(chunk, start)
    }

    /// Passes what is no record, up to the first line of one, and reads that one.
    fn skip_to_record(&mut self, chunk: &mut Chunk, start: usize) -> io::Result<bool> {
        let shown = String::from_utf8_lossy(&chunk.bytes[start..]).chars().take(40).collect::<String>();
        chunk.damaged(self.record, Reason::NotWarc, format!("expected 'WARC/1.0', found '{}'", shown.escape_debug()));
        loop {
            chunk.bytes.truncate(start);
            match read_line(&mut *self.reader, &mut chunk.bytes, HEAD)? {
                Line::End => return Ok(false),
                _ if is_first_line(&chunk.bytes[start..]) => {
                    self.record += 1;
                    return self.record_at(chunk, start);
                }
                _ => {}
            }
        }
    }

    /// The record whose first line lies at `start`.
    fn record_at(&mut self, chunk: &mut Chunk, start: usize) -> io::Result<bool> {
        loop {
            chunk.bytes.push(b'\n');
            let line = chunk.bytes.len();
            let read = read_line(&mut *self.reader, &mut chunk.bytes, HEAD)?;
            if read == Line::End || chunk.bytes.len() - start > HEAD {
                chunk.bytes.truncate(start);
                let found = format!("the head of a record ends early, or is longer than {HEAD} bytes");
                chunk.damaged(self.record, Reason::NotWarc, found);
                return Ok(read != Line::End);
            }
            if chunk.bytes[line..].trim_ascii().is_empty() {
                break;
            }
        }
        let body = chunk.bytes.len();
        let head = &chunk.bytes[start..body];
        let len = header(head, "content-length").and_then(|value| value.parse::<u64>().ok());
        let Some(len) = len else {
            chunk.bytes.truncate(start);
            chunk.damaged(self.record, Reason::NotWarc, "a record without Content-Length".to_owned());
            return Ok(true);
        };
        let kind = header(head, "warc-type").unwrap_or_default().to_ascii_lowercase();
        if !matches!(&kind[..], "response" | "conversion" | "resource") {
            chunk.bytes.truncate(start);
            *chunk.passed.entry(format!("warc_{kind}")).or_default() += 1;
            return self.pass(len).map(|()| true);
        }
        if len > self.max_bytes as u64 {
            chunk.bytes.truncate(start);
            let found = format!("a record of {len} bytes; max_record_bytes is {}", self.max_bytes);
            chunk.damaged(self.record, Reason::TooLong, found);
            return self.pass(len).map(|()| true);
        }
        let read = (&mut self.reader).take(len).read_to_end(&mut chunk.bytes)? as u64;
        if read < len {
            chunk.bytes.truncate(start);
            chunk.damaged(self.record, Reason::Truncated, format!("a record of {len} bytes ends after {read}"));
            return Ok(true);
        }
        let content = Content::Warc { head: start..body, body: body..chunk.bytes.len() };
        chunk.items.push(Item { place: self.record, content });
        Ok(true)
    }

    fn pass(&mut self, mut len: u64) -> io::Result<()> {
        while len > 0 {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let used = buffer.len().min(usize::try_from(len).unwrap_or(usize::MAX));
            self.reader.consume(used);
            len -= used as u64;
        }
        Ok(())
    }
}

fn is_first_line(line: &[u8]) -> bool {
    line.starts_with(b"WARC/1.") || line.starts_with(b"WARC/0.")
}

/// A field of a record's head, by its name in lower case.
pub(crate) fn header<'h>(head: &'h [u8], name: &str) -> Option<&'h str> {
    head.split(|&byte| byte == b'\n').find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let (field, value) = (&line[..colon], &line[colon + 1..]);
        field
            .trim_ascii()
            .eq_ignore_ascii_case(name.as_bytes())
            .then(|| std::str::from_utf8(value.trim_ascii()).ok())?
    })
}

impl Source for Warc {
    fn fill(&mut self, chunk: &mut Chunk) -> Result<(), CorpusError> {
        while !chunk.is_full() {
            let start = chunk.bytes.len();
            match self.next(chunk) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    chunk.bytes.truncate(start);
                    let damage = refusal(error, &self.path)?;
                    chunk.damaged(self.record, Reason::Truncated, damage.to_string());
                }
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), CorpusError> {
        Ok(drain(&mut *self.reader, &self.path)?)
    }
}
