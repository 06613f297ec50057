//! Reading: files become chunks of raw items, whose borders depend on the files alone; items become records later, by many
//! threads.

mod bytes;
mod charset;
mod gunzip;
mod lines;
mod page;
#[cfg(feature = "parquet")]
mod parquet;
mod texts;
mod units;
mod warc;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

pub(crate) use bytes::Watch;
pub(crate) use units::{Kind, Packing, Unit, Units, discover, discover_any, left_out_note};

pub(crate) use page::HTML_FIELD;

use crate::record::Fault;
use crate::{CorpusError, Reason, Record};

/// Raw items, and the bytes that they lie in.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) bytes: Vec<u8>,
    pub(crate) items: Vec<Item>,
    /// What is no document and no damage either, by what it is: the requests of a crawl.
    pub(crate) passed: BTreeMap<String, u64>,
}

/// One document as it stands in its file.
#[derive(Debug)]
pub(crate) struct Item {
    /// Line or record, counted from one; for files of one text, which of the unit.
    pub(crate) place: u64,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// A line of JSON.
    Line(Range<usize>),
    /// A whole file: its name and text.
    File { name: String, kind: Kind, bytes: Range<usize> },
    /// A record of a crawl.
    Warc { head: Range<usize>, body: Range<usize> },
    /// Something that cannot be read.
    Damaged { reason: Reason, found: String },
}

impl Item {
    /// The document it is; without a text where it is a page, or its line has none.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn record(&self, bytes: &[u8], text_field: &str, max_bytes: usize) -> Result<Record, Fault> {
        match &self.content {
            Content::Line(line) => Record::parse(&bytes[line.clone()], text_field),
            Content::File { name, kind, bytes: at } => {
                page::of_file(name, *kind == Kind::Html, &bytes[at.clone()], text_field)
            }
            Content::Warc { head, body } => {
                page::of_warc(&bytes[head.clone()], &bytes[body.clone()], text_field, max_bytes)
            }
            Content::Damaged { reason, found } => Err(Fault { reason: *reason, found: found.clone() }),
        }
    }
}

/// A chunk is full with this many bytes, or this many items. What is written depends on it: compressed files have a frame a
/// chunk.
const FULL_BYTES: usize = 4 << 20;
const FULL_ITEMS: usize = 4096;

impl Chunk {
    fn is_full(&self) -> bool {
        self.bytes.len() >= FULL_BYTES || self.items.len() >= FULL_ITEMS
    }

    fn damaged(&mut self, place: u64, reason: Reason, found: String) {
        self.items.push(Item { place, content: Content::Damaged { reason, found } });
    }
}

/// Reads a unit from its beginning to its end.
pub(crate) trait Source: Send {
    /// Fills an empty chunk; leaves it empty at the end.
    ///
    /// # Errors
    /// When the system refuses to read, not for damage.
    fn fill(&mut self, chunk: &mut Chunk) -> Result<(), CorpusError>;

    /// Reads what is left, so that the watch has seen the whole file.
    ///
    /// # Errors
    /// When the system refuses to read.
    fn drain(&mut self) -> Result<(), CorpusError>;
}

/// Opens a unit. No item of more than `max_bytes` is held in memory.
pub(crate) fn open(unit: &Unit, max_bytes: usize, watch: &Arc<Watch>) -> Result<Box<dyn Source>, CorpusError> {
    Ok(match unit.kind {
        Kind::Lines => Box::new(lines::Lines::open(unit, max_bytes, watch)?),
        Kind::Text | Kind::Html => Box::new(texts::Texts::new(unit, max_bytes, watch)),
        Kind::Other => {
            return Err(tutelage_run::FileError::content(&unit.files[0], "holds no documents").into());
        }
        Kind::Warc => Box::new(warc::Warc::open(unit, max_bytes, watch)?),
        #[cfg(feature = "parquet")]
        Kind::Parquet => Box::new(parquet::ParquetRows::open(unit, max_bytes, watch)?),
        #[cfg(not(feature = "parquet"))]
        Kind::Parquet => {
            let found = "Parquet is read by a program that was built with its feature: cargo build --release --features parquet";
            return Err(tutelage_run::FileError::content(&unit.files[0], found).into());
        }
    })
}
