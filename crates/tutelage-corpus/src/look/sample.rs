//! A few documents, each as likely as any other.

use std::path::PathBuf;

use serde::Serialize;
use tutelage_run::RandomStream;

use super::documents;
use crate::job::JobSettings;
use crate::{CorpusError, Record};

/// A document that was drawn.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// Its file.
    pub file: String,
    /// Where it stands there, counted from one.
    pub place: u64,
    /// The document, as it stands there.
    pub document: Box<serde_json::value::RawValue>,
    /// Its text.
    #[serde(skip)]
    pub text: String,
}

/// Draws `n` documents, in the order of the files; of those with `reason` in their field `dropped`, if one is given.
///
/// # Errors
/// When there is nothing to read, or the system refuses.
pub fn sample(
    inputs: &[PathBuf],
    settings: &JobSettings,
    n: usize,
    reason: Option<&str>,
    seed: u64,
) -> Result<Vec<Sample>, CorpusError> {
    let mut random = RandomStream::new(seed, "sample of documents");
    // Each place of the reservoir with the number of its document, to put them in order at the end.
    let mut drawn: Vec<(u64, String, u64, Record)> = Vec::with_capacity(n);
    let mut seen = 0u64;
    for found in documents(inputs, settings)? {
        let found = found?;
        let Ok(record) = found.record else { continue };
        if reason.is_some() && record.string("dropped").as_deref() != reason {
            continue;
        }
        seen += 1;
        // Vitter's algorithm R.
        let entry = (seen, found.file, found.place, record);
        if drawn.len() < n {
            drawn.push(entry);
        } else if let Some(old) = drawn.get_mut(random.below(seen) as usize) {
            *old = entry;
        }
    }
    drawn.sort_by_key(|(number, ..)| *number);
    let written = drawn.into_iter().filter_map(|(_, file, place, record)| {
        let mut line = Vec::new();
        record.write(&mut line);
        let document = serde_json::from_slice(&line).ok()?;
        Some(Sample { file, place, document, text: record.text })
    });
    Ok(written.collect())
}
