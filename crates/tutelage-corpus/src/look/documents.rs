//! Documents in the order of their files.

use std::path::PathBuf;
use std::sync::Arc;

use tutelage_run::FileError;

use crate::input::{Chunk, Kind, Packing, Source, Unit, Units, Watch, discover, left_out_note, open};
use crate::job::JobSettings;
use crate::manifest::InputRecord;
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
    source: Option<Open>,
    chunk: Vec<Found>,
    inputs: Vec<InputRecord>,
}

/// A unit that is being read.
struct Open {
    source: Box<dyn Source>,
    unit: Unit,
    watch: Arc<Watch>,
    read: u64,
}

/// Opens files, folders of files, and folders that a stage wrote.
///
/// # Errors
/// When there is nothing to read.
pub fn documents(inputs: &[PathBuf], settings: &JobSettings) -> Result<Documents, CorpusError> {
    let units = discover(inputs)?.units.into_iter();
    Ok(Documents { units, settings: settings.clone(), source: None, chunk: Vec::new(), inputs: Vec::new() })
}

/// The files behind inputs, in the order in which they are read.
#[derive(Debug)]
pub struct InputFiles {
    /// Those that are read.
    pub files: Vec<PathBuf>,
    /// Those of folders whose endings are none that is read.
    pub left_out: Vec<PathBuf>,
}

impl InputFiles {
    /// Of files, folders of files, and folders that a stage wrote.
    ///
    /// # Errors
    /// When there is nothing to read.
    pub fn of(inputs: &[PathBuf]) -> Result<Self, CorpusError> {
        let Units { units, left_out } = discover(inputs)?;
        Ok(Self { files: units.into_iter().flat_map(|unit| unit.files).collect(), left_out })
    }

    /// What to say of files that are left out.
    pub fn left_out_note(&self) -> Option<String> {
        left_out_note(&self.left_out)
    }
}

/// The files of JSONL, for readers of others, which know neither compression nor pages.
///
/// # Errors
/// When there is nothing to read, or a file is of another kind.
pub fn plain_files(inputs: &[PathBuf]) -> Result<Vec<PathBuf>, CorpusError> {
    let units = discover(inputs)?.units;
    let is_plain = |unit: &Unit| unit.kind == Kind::Lines && unit.packing == Packing::Plain;
    if let Some(unit) = units.iter().find(|unit| !is_plain(unit)) {
        let found = "is no JSONL without compression, which the engine reads: carry out 'data read' first";
        return Err(FileError::content(&unit.files[0], found).into());
    }
    Ok(units.into_iter().flat_map(|unit| unit.files).collect())
}

impl Documents {
    /// The units that were read to their end, with their hashes.
    pub(crate) fn into_inputs(self) -> Vec<InputRecord> {
        self.inputs
    }

    /// Reads until there is a document; false at the end.
    fn fill(&mut self) -> Result<bool, CorpusError> {
        while self.chunk.is_empty() {
            let open = match &mut self.source {
                Some(open) => open,
                None => {
                    let Some(unit) = self.units.next() else { return Ok(false) };
                    let watch = Arc::new(Watch::default());
                    let source = open(&unit, self.settings.max_record_bytes, &watch)?;
                    self.source.insert(Open { source, unit, watch, read: 0 })
                }
            };
            let mut chunk = Chunk::default();
            open.source.fill(&mut chunk)?;
            let JobSettings { text_field, max_record_bytes, .. } = &self.settings;
            let found = chunk.items.iter().rev().map(|item| Found {
                file: open.unit.name.clone(),
                place: item.place,
                record: item.record(&chunk.bytes, text_field, *max_record_bytes),
            });
            self.chunk.extend(found);
            open.read += chunk.items.len() as u64;
            if chunk.items.is_empty() && chunk.passed.is_empty() {
                self.end()?;
            }
        }
        Ok(true)
    }

    /// Ends a unit, which has to be what its manifest says.
    fn end(&mut self) -> Result<(), CorpusError> {
        let Some(Open { mut source, unit, watch, read }) = self.source.take() else { return Ok(()) };
        source.drain()?;
        let (bytes, hash) = (watch.bytes(), watch.hash());
        unit.is_as_expected(&hash)?;
        self.inputs.push(InputRecord { files: unit.files.len() as u64, file: unit.name, bytes, hash, read });
        Ok(())
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
