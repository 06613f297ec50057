//! The first pass: texts one after the other, with the number of their document.

use std::path::Path;

use tutelage_run::MappedFile;

use crate::dedup::ADVICE;
use crate::job::{At, DocumentStage, Tally};
use crate::{CorpusError, Manifest, Reason, Record};

/// A row is the document's number in its unit (u64), its bytes (u64), and its text.
#[derive(Debug)]
pub(super) struct Texts;

impl DocumentStage for Texts {
    type Worker = ();

    fn name(&self) -> &'static str {
        "dedup: texts"
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn worker(&self) {}

    fn apply(&self, (): &mut (), _: &mut Record, _: At, _: &mut Tally) -> Result<(), Reason> {
        Ok(())
    }

    fn write(&self, (): &mut (), record: &Record, at: At, out: &mut Vec<u8>) {
        out.extend(at.index.to_le_bytes());
        out.extend((record.text.len() as u64).to_le_bytes());
        out.extend_from_slice(record.text.as_bytes());
    }

    fn ending(&self) -> &'static str {
        ".texts"
    }
}

/// Where every text lies.
#[derive(Debug, Default)]
pub(super) struct TextFiles {
    files: Vec<MappedFile>,
    /// Of each unit the number of its first document that has a text, and the end.
    units: Vec<u32>,
    /// Which document of its unit each is.
    indices: Vec<u64>,
    /// Where each begins among all texts with a byte between them, and the end.
    starts: Vec<u64>,
}

/// Stands between texts; in none of them, since they are UTF-8.
const BORDER: u8 = 0xff;

impl TextFiles {
    pub(super) fn open(work: &Path, manifest: &Manifest) -> Result<Self, CorpusError> {
        let mut all = Self { units: vec![0], starts: vec![0], ..Self::default() };
        for output in &manifest.outputs {
            let file = MappedFile::open_known(&work.join(&output.file), &output.hash, ADVICE)?;
            all.rows(&file);
            all.files.push(file);
        }
        Ok(all)
    }

    fn rows(&mut self, file: &MappedFile) {
        for (index, text) in rows(file.bytes()) {
            self.indices.push(index);
            self.starts.push(self.starts[self.starts.len() - 1] + text.len() as u64 + 1);
        }
        self.units.push(self.indices.len() as u32);
    }

    /// Bytes of all texts, with what is between them.
    pub(super) fn text_bytes(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    pub(super) fn starts(&self) -> &[u64] {
        &self.starts
    }

    /// All texts.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.text_bytes() as usize);
        for (_, one) in self.files.iter().flat_map(|file| rows(file.bytes())) {
            text.extend_from_slice(one);
            text.push(BORDER);
        }
        text
    }

    /// Gives the memory of the files back.
    pub(super) fn forget_texts(&mut self) {
        self.files.clear();
    }

    /// Which text a document has.
    pub(super) fn document(&self, at: At) -> Option<u32> {
        let unit = at.unit as usize;
        let (first, end) = (*self.units.get(unit)? as usize, *self.units.get(unit + 1)? as usize);
        let found = self.indices[first..end].binary_search(&at.index).ok()?;
        Some((first + found) as u32)
    }
}

fn rows(mut bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let (index, rest) = bytes.split_first_chunk::<8>()?;
        let (len, rest) = rest.split_first_chunk::<8>()?;
        let (text, rest) = rest.split_at_checked(u64::from_le_bytes(*len) as usize)?;
        bytes = rest;
        Some((u64::from_le_bytes(*index), text))
    })
}
