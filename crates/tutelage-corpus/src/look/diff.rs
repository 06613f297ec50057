//! What a stage made of documents: two folders, matched by id.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::documents;
use crate::job::JobSettings;
use crate::{CorpusError, Record};

/// What became of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is there with another text.
    Changed,
    /// It is not there, for this reason, where the folder has kept it aside.
    Dropped(Option<String>),
}

/// One document before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its id.
    pub id: String,
    /// What became of it.
    pub fate: Fate,
    /// Its text before.
    pub before: String,
    /// Its text after; empty if it was dropped.
    pub after: String,
}

/// Two sets of documents side by side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// Documents that are there with the same text.
    pub same: u64,
    /// Documents with another text.
    pub changed: u64,
    /// Documents that are no longer there.
    pub dropped: u64,
    /// Documents that were not there before.
    pub added: u64,
    /// Documents without an id, which cannot be matched.
    pub without_id: u64,
    /// The first of those that changed or were dropped, up to what was asked for of each kind and reason.
    pub changes: Vec<Change>,
}

/// Compares `before` with the stage's folder `after`; shows up to `most` documents of each kind and reason.
///
/// Every document after is held as a hash of its text, so the memory is some tens of bytes a document.
///
/// # Errors
/// When there is nothing to read, an id stands there twice, or the system refuses.
pub fn diff(before: &[PathBuf], after: &Path, settings: &JobSettings, most: usize) -> Result<Diff, CorpusError> {
    let mut diff = Diff::default();
    let kept = by_id(&[after.to_path_buf()], settings, &mut diff.without_id)?;
    let aside = after.join("dropped");
    let reasons = if aside.exists() { reasons(&aside, settings)? } else { BTreeMap::new() };
    let mut wanted: BTreeMap<String, Change> = BTreeMap::new();
    let mut shown: BTreeMap<String, usize> = BTreeMap::new();
    let mut seen = 0;
    for found in documents(before, settings)? {
        let Ok(record) = found?.record else { continue };
        let Some(id) = record.string("id") else {
            diff.without_id += 1;
            continue;
        };
        let (fate, kind) = match kept.get(&id) {
            Some(hash) => {
                seen += 1;
                if *hash == hash_of(&record) {
                    diff.same += 1;
                    continue;
                }
                diff.changed += 1;
                (Fate::Changed, String::new())
            }
            None => {
                diff.dropped += 1;
                let reason = reasons.get(&id).cloned();
                (Fate::Dropped(reason.clone()), reason.unwrap_or_else(|| "?".to_owned()))
            }
        };
        let n = shown.entry(kind).or_default();
        if *n < most {
            *n += 1;
            let change = Change { id: id.clone(), fate, before: record.text, after: String::new() };
            wanted.insert(id, change);
        }
    }
    diff.added = kept.len() as u64 - seen;
    // The texts after, of those that are shown.
    for found in documents(&[after.to_path_buf()], settings)? {
        let Ok(record) = found?.record else { continue };
        if let Some(change) = record.string("id").and_then(|id| wanted.get_mut(&id)) {
            change.after = record.text;
        }
    }
    diff.changes = wanted.into_values().collect();
    Ok(diff)
}

fn hash_of(record: &Record) -> u64 {
    twox_hash::XxHash3_64::oneshot(record.text.as_bytes())
}

fn by_id(inputs: &[PathBuf], settings: &JobSettings, without: &mut u64) -> Result<BTreeMap<String, u64>, CorpusError> {
    let mut found_by_id = BTreeMap::new();
    for found in documents(inputs, settings)? {
        let found = found?;
        let Ok(record) = found.record else { continue };
        let Some(id) = record.string("id") else {
            *without += 1;
            continue;
        };
        if found_by_id.insert(id.clone(), hash_of(&record)).is_some() {
            let text =
                format!("{}: the id '{id}' stands there twice, so documents cannot be matched by it", found.file);
            return Err(CorpusError::request(text));
        }
    }
    Ok(found_by_id)
}

fn reasons(aside: &Path, settings: &JobSettings) -> Result<BTreeMap<String, String>, CorpusError> {
    let mut reasons = BTreeMap::new();
    for found in documents(&[aside.to_path_buf()], settings)? {
        let Ok(record) = found?.record else { continue };
        if let (Some(id), Some(reason)) = (record.string("id"), record.string("dropped")) {
            reasons.insert(id, reason);
        }
    }
    Ok(reasons)
}
