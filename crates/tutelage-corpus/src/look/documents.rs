//! Documents in the order of their files.

use std::path::PathBuf;
use std::sync::Arc;

use crate::input::{Chunk, Source, Unit, Watch, discover, open};
use crate::job::JobSettings;
use crate::record::Fault;
use crate::{CorpusError, Record};

/// One document, or why it is none.
#[derive(Debug)]
pub struct Found {
    /// Its file.
    pub file: String,
    /// Line, record of a crawl, or file of a folder, counted from one.
    pub place: u64,
    /// The document.
    pub record: Result<Record, Fault>,
}

/// Documents, one after the other.
pub struct Documents {
    units: std::vec::IntoIter<Unit>,
    settings: JobSettings,
    source: Option<(Box<dyn Source>, String)>,
    chunk: Vec<Found>,
}

/// Opens files, folders of files, and folders that a stage wrote.
///
/// # Errors
/// When there is nothing to read.
pub fn documents(inputs: &[PathBuf], settings: &JobSettings) -> Result<Documents, CorpusError> {
    let units = discover(inputs)?.units.into_iter();
    Ok(Documents { units, settings: settings.clone(), source: None, chunk: Vec::new() })
}

impl Documents {
    /// Reads until there is a document; false at the end.
    fn fill(&mut self) -> Result<bool, CorpusError> {
        while self.chunk.is_empty() {
            let (source, file) = match &mut self.source {
                Some(open) => open,
                None => {
                    let Some(unit) = self.units.next() else { return Ok(false) };
                    let watch = Arc::new(Watch::default());
                    let source = open(&unit, self.settings.max_record_bytes, &watch)?;
                    self.source.insert((source, unit.name))
                }
            };
            let mut chunk = Chunk::default();
            source.fill(&mut chunk)?;
            let JobSettings { text_field, max_record_bytes, .. } = &self.settings;
            let found = chunk.items.iter().rev().map(|item| Found {
                file: file.clone(),
                place: item.place,
                record: item.record(&chunk.bytes, text_field, *max_record_bytes),
            });
            self.chunk.extend(found);
            if chunk.items.is_empty() && chunk.passed.is_empty() {
                self.source = None;
            }
        }
        Ok(true)
    }
}

impl Iterator for Documents {
    type Item = Result<Found, CorpusError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.fill() {
            Ok(true) => self.chunk.pop().map(Ok),
            Ok(false) => None,
            Err(error) => {
                self.units = Vec::new().into_iter();
                self.source = None;
                Some(Err(error))
            }
        }
    }
}
