//! What a stage leaves beside its documents: what it read, kept and dropped, and the hash of every file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tutelage_run::Hash;

use crate::job::ShardOf;
use crate::{CorpusError, Reason};

/// `manifest.json`. Nothing in it depends on the clock, on the number of threads, or on interruptions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the stage.
    pub stage: String,
    /// Version of the program that began it.
    pub version: String,
    /// The stage's settings, all of them.
    pub settings: serde_json::Value,
    /// Which part of the inputs this is, as `i/n`; none where it is all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardOf>,
    /// Documents read, damaged ones included: the sum of `kept` and of all that is `dropped`.
    pub read: u64,
    /// Documents written.
    pub kept: u64,
    /// Documents dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// What else was counted: lines removed, addresses masked, records of a crawl that are no documents.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
    /// What the stage was told to look for, with how often that was found.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filters: BTreeMap<String, u64>,
    /// What is likely not meant: nothing kept, a filter that never fired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Where damaged documents are: the first of each file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<Damage>,
    /// What was read.
    pub inputs: Vec<InputRecord>,
    /// What was written.
    pub outputs: Vec<OutputRecord>,
}

impl Manifest {
    /// Name of its file.
    pub const NAME: &'static str = "manifest.json";

    /// Documents that were dropped for a reason.
    pub(crate) fn dropped_for(&self, reason: Reason) -> u64 {
        self.dropped.get(&reason.to_string()).copied().unwrap_or(0)
    }

    /// The filters that are given, each with how many documents were dropped for its reason.
    pub(crate) fn dropped_by<const N: usize>(&self, filters: [(bool, &str, Reason); N]) -> Vec<(String, u64)> {
        let given = filters.into_iter().filter(|(is_given, ..)| *is_given);
        given.map(|(_, name, reason)| (name.to_owned(), self.dropped_for(reason))).collect()
    }

    /// What a stage has counted under a name.
    pub(crate) fn counted(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// What to say of filters that found nothing, where there were documents enough to expect it.
    pub(crate) fn never_fired(&self) -> Option<String> {
        let silent = self.filters.iter().filter(|(_, fired)| **fired == 0).map(|(name, _)| &name[..]);
        let silent: Vec<&str> = silent.collect();
        (!silent.is_empty() && self.read >= EXPECTED_TO_FIRE).then(|| {
            format!(
                "never fired among {} documents: {}; are these the texts, and the settings, that were meant?",
                self.read,
                silent.join(", ")
            )
        })
    }

    /// Whether what was kept and what was dropped are what was read.
    ///
    /// # Errors
    /// When they are not, which is a fault of the program.
    pub(crate) fn adds_up(&self) -> Result<(), CorpusError> {
        let sum: u64 = self.dropped.values().sum();
        if self.read != self.kept + sum {
            let found = format!("{} documents were read, {} kept and {sum} dropped", self.read, self.kept);
            return Err(CorpusError::Panicked(format!("the counts do not add up: {found}")));
        }
        Ok(())
    }
}

/// Documents of which a filter is expected to find some.
const EXPECTED_TO_FIRE: u64 = 100;

/// Adds counts to others of the same names.
pub(crate) fn add_counts<'c>(sum: &mut BTreeMap<String, u64>, counts: impl IntoIterator<Item = (&'c String, &'c u64)>) {
    for (name, count) in counts {
        *sum.entry(name.clone()).or_default() += count;
    }
}

/// One damaged document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// The file.
    pub file: String,
    /// Line, or record of a crawl, or file of a folder, counted from one.
    pub place: u64,
    /// The reason it is counted under.
    pub reason: String,
    /// What was found there.
    pub found: String,
}

/// An input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRecord {
    /// The file; of a folder of small texts the first of those that were read together.
    pub file: String,
    /// How many files those are, where it is more than one.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub files: u64,
    /// Bytes, as they are in the file.
    pub bytes: u64,
    /// Hash of those bytes.
    pub hash: Hash,
    /// Documents in it.
    pub read: u64,
}

fn one() -> u64 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_one(n: &u64) -> bool {
    *n == 1
}

/// An output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// The file, in the manifest's folder.
    pub file: String,
    /// Documents in it.
    pub documents: u64,
    /// Bytes, as they are in the file.
    pub bytes: u64,
    /// Hash of those bytes.
    pub hash: Hash,
}
