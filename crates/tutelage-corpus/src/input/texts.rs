//! Folders of text: an item a file.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bytes::{drain, open, refusal};
use super::{Chunk, Content, Item, Kind, Packing, Source, Unit, Watch};
use crate::{CorpusError, Reason};

/// The files of a unit.
pub(super) struct Texts {
    files: std::vec::IntoIter<PathBuf>,
    root: PathBuf,
    kind: Kind,
    packing: Packing,
    max_bytes: usize,
    watch: Arc<Watch>,
    place: u64,
}

impl Texts {
    pub(super) fn new(unit: &Unit, max_bytes: usize, watch: &Arc<Watch>) -> Self {
        Self {
            files: unit.files.clone().into_iter(),
            root: unit.root.clone(),
            kind: unit.kind,
            packing: unit.packing,
            max_bytes,
            watch: Arc::clone(watch),
            place: 0,
        }
    }

    fn read(&self, path: &Path, chunk: &mut Chunk) -> Result<(), CorpusError> {
        let mut reader = open(path, self.packing, Arc::clone(&self.watch))?;
        let start = chunk.bytes.len();
        let read = reader.by_ref().take(self.max_bytes as u64 + 1).read_to_end(&mut chunk.bytes);
        let name = path.strip_prefix(&self.root).unwrap_or(path).display().to_string();
        let fault = match read {
            Err(error) => Some((Reason::Truncated, refusal(error, path)?.to_string())),
            Ok(len) if len > self.max_bytes => {
                Some((Reason::TooLong, format!("more than max_record_bytes, {}", self.max_bytes)))
            }
            Ok(_) => None,
        };
        if let Some((reason, found)) = fault {
            chunk.bytes.truncate(start);
            chunk.damaged(self.place, reason, format!("{name}: {found}"));
            return Ok(drain(&mut *reader as &mut dyn BufRead, path)?);
        }
        let bytes = start..chunk.bytes.len();
        chunk.items.push(Item { place: self.place, content: Content::File { name, kind: self.kind, bytes } });
        Ok(())
    }
}

impl Source for Texts {
    fn fill(&mut self, chunk: &mut Chunk) -> Result<(), CorpusError> {
        while !chunk.is_full() {
            let Some(path) = self.files.next() else { return Ok(()) };
            self.place += 1;
            self.read(&path, chunk)?;
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), CorpusError> {
        Ok(())
    }
}
