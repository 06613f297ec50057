//! What is known to be done, durably: of the job, and of each unit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tutelage_run::{FileError, read_json, write_json};

use super::ShardOf;
use crate::CorpusError;
use crate::input::Unit;
use crate::manifest::{Damage, InputRecord, Manifest, OutputRecord};

/// What a job is: another one in the same folder is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct JobRecord {
    pub(super) stage: String,
    shard: ShardOf,
    pub(super) settings: serde_json::Value,
    pub(super) inputs: Vec<InputName>,
    #[serde(skip)]
    files: Vec<PathBuf>,
}

/// An input before it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InputName {
    file: String,
    files: u64,
    bytes: u64,
}

impl JobRecord {
    /// Name of its file.
    pub(super) const NAME: &str = "job.json";

    pub(super) fn new(stage: &str, shard: ShardOf, settings: serde_json::Value, units: &[Unit]) -> Self {
        let name =
            |unit: &Unit| InputName { file: unit.name.clone(), files: unit.files.len() as u64, bytes: unit.bytes };
        Self {
            stage: stage.to_owned(),
            shard,
            settings,
            inputs: units.iter().map(name).collect(),
            files: units.iter().flat_map(|unit| unit.files.clone()).collect(),
        }
    }

    /// The manifest, if the folder holds this job, done.
    pub(super) fn finished(&self, out: &Path) -> Result<Option<Manifest>, CorpusError> {
        let path = out.join(self.shard.named("manifest", ".json"));
        if !path.exists() {
            return Ok(None);
        }
        let manifest: Manifest = read_json(&path)?;
        if manifest.stage != self.stage {
            return Err(held(out, &format!("the stage '{}'", manifest.stage)));
        }
        if manifest.settings != self.settings {
            return Err(held(out, &differences(&manifest.settings, &self.settings)));
        }
        let mine = (0u32..).zip(&self.inputs).filter(|(number, _)| self.shard.has(*number)).map(|(_, input)| input);
        let known = manifest.inputs.iter().map(|input| (&input.file, input.files, input.bytes));
        if !mine.map(|input| (&input.file, input.files, input.bytes)).eq(known) {
            return Err(held(out, "other inputs"));
        }
        self.not_newer_than(&path)?;
        Ok(Some(manifest))
    }

    /// Notes what the job is, or finds that the folder holds the same one.
    pub(super) fn begin_or_go_on(&self, work: &Path) -> Result<(), CorpusError> {
        let path = work.join(Self::NAME);
        if !path.exists() {
            return Ok(write_json(&path, self)?);
        }
        let begun: JobRecord = read_json(&path)?;
        if begun.stage != self.stage {
            return Err(held(work, &format!("the stage '{}', begun", begun.stage)));
        }
        if begun.settings != self.settings {
            return Err(held(work, &differences(&begun.settings, &self.settings)));
        }
        if begun.inputs != self.inputs {
            return Err(held(work, "the same stage begun on other inputs"));
        }
        self.not_newer_than(&path)
    }

    /// Inputs that were written since would give an output of two halves.
    fn not_newer_than(&self, path: &Path) -> Result<(), CorpusError> {
        let time = |path: &Path| -> Result<SystemTime, FileError> {
            std::fs::metadata(path).and_then(|metadata| metadata.modified()).map_err(FileError::io("read", path))
        };
        let begun = time(path)?;
        for file in &self.files {
            if time(file)? > begun {
                let found = format!(
                    "was written since {} was begun; choose another --out, or remove that folder",
                    path.parent().unwrap_or(path).display()
                );
                return Err(FileError::content(file, found).into());
            }
        }
        Ok(())
    }
}

fn held(folder: &Path, what: &str) -> CorpusError {
    let found = format!("the folder holds {what}; choose another --out, or remove it to start anew");
    FileError::content(folder, found).into()
}

/// Which settings are not the same.
fn differences(known: &serde_json::Value, asked: &serde_json::Value) -> String {
    let empty = serde_json::Map::new();
    let (known, asked) = (known.as_object().unwrap_or(&empty), asked.as_object().unwrap_or(&empty));
    let names: std::collections::BTreeSet<&String> = known.keys().chain(asked.keys()).collect();
    let shown = |value: Option<&serde_json::Value>| value.map_or("nothing".to_owned(), ToString::to_string);
    let different: Vec<String> = names
        .into_iter()
        .filter(|name| known.get(*name) != asked.get(*name))
        .map(|name| format!("{name} = {} (now {})", shown(known.get(name)), shown(asked.get(name))))
        .collect();
    format!("the same stage with other settings: {}", different.join(", "))
}

/// How far a unit is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct UnitRecord {
    /// Chunks whose outcome is durable.
    pub(super) chunks: u64,
    /// Documents, damaged ones included.
    pub(super) read: u64,
    pub(super) kept: u64,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) damaged: Vec<Damage>,
    /// Bytes of what was kept, and of what was dropped.
    pub(super) bytes: [u64; 2],
    /// Set when the unit is done.
    pub(super) input: Option<InputRecord>,
    pub(super) output: Option<OutputRecord>,
}

impl UnitRecord {
    fn path(work: &Path, number: u32) -> PathBuf {
        work.join(format!("{number:05}.json"))
    }

    pub(super) fn read(work: &Path, number: u32) -> Result<Self, FileError> {
        let path = Self::path(work, number);
        if path.exists() { read_json(&path) } else { Ok(Self::default()) }
    }

    pub(super) fn write(&self, work: &Path, number: u32) -> Result<(), FileError> {
        write_json(&Self::path(work, number), self)
    }

    pub(super) fn is_done(&self) -> bool {
        self.output.is_some()
    }
}
