//! Carrying out a stage that looks at each document alone: many threads, one order, and a ledger from which it goes on inside
//! a file.
//!
//! A unit of input is cut into chunks whose borders depend on its bytes alone. Threads take chunks, and what becomes of them is
//! appended in the order of the unit, so the output does not depend on who did what when. Now and then what was appended
//! is made durable and the ledger says how many chunks that is: the next start cuts the output back to there.

mod block;
mod folder;
mod ledger;
mod pool;
mod settings;
mod shards;
#[cfg(test)]
mod tests;
mod unit;

pub use block::Tally;
pub use folder::{OpenStage, StageFolder, is_stage};
use ledger::JobRecord;
pub use settings::{Compression, JobSettings};
pub use shards::ShardOf;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use tutelage_run::{Event, Observer, RunLock, StopFlag, create_folder, read_json, remove_folder, write_json};

use crate::input::{Units, discover, left_out_note};
use crate::manifest::{InputRecord, Manifest, OutputRecord, add_counts};
use crate::{CorpusError, Reason, Record};
use ledger::UnitRecord;

/// What is done with each document, alone.
pub trait DocumentStage: Sync {
    /// Memory of one thread.
    type Worker;

    /// Name of the stage.
    fn name(&self) -> &'static str;

    /// Its settings, as manifests have them.
    fn settings(&self) -> serde_json::Value;

    /// Memory for one more thread.
    fn worker(&self) -> Self::Worker;

    /// Whether documents need a text to get here.
    fn needs_text(&self) -> bool {
        true
    }

    /// Keeps the document, perhaps changed, or says why not. The same document has the same fate wherever it stands, but for
    /// what `at` tells.
    ///
    /// # Errors
    /// With the reason, when it is dropped.
    fn apply(&self, worker: &mut Self::Worker, record: &mut Record, at: At, tally: &mut Tally) -> Result<(), Reason>;

    /// Appends a document that is kept to the output.
    fn write(&self, _worker: &mut Self::Worker, record: &Record, _at: At, out: &mut Vec<u8>) {
        record.write(out);
    }

    /// Ending of the files it writes, before that of the compression.
    fn ending(&self) -> &'static str {
        ".jsonl"
    }

    /// What it was told to look for, each with how often that was found; what never was is warned of.
    fn filters(&self, _manifest: &Manifest) -> Vec<(String, u64)> {
        Vec::new()
    }

    /// What the finished manifest should warn of, beside that nothing was kept, and filters that never fired.
    fn warnings(&self, _manifest: &Manifest) -> Vec<String> {
        Vec::new()
    }
}

/// Where a document stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Which unit of all inputs.
    pub unit: u32,
    /// Which document of the unit, damaged ones counted.
    pub index: u64,
}

/// A stage, and where from and where to.
#[derive(Debug)]
pub struct Job<'a> {
    /// Files, folders of files, or folders that another stage wrote.
    pub inputs: &'a [PathBuf],
    /// The folder to write.
    pub out: &'a Path,
    /// Which part of the inputs.
    pub shard: ShardOf,
    /// How to read and write.
    pub settings: &'a JobSettings,
    /// Number of threads.
    pub threads: usize,
    /// Time after which what is done is made durable: what is lost at most when the process is killed.
    pub commit_every: Duration,
}

/// How a stage ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// All is done.
    Done(Box<Manifest>),
    /// It was asked to stop; the same job goes on from there.
    Stopped,
}

impl Job<'_> {
    /// Carries out the stage, or goes on with it, or finds it done.
    ///
    /// # Errors
    /// When there is nothing to read, the folder holds something else, an intermediate is damaged, or the system refuses.
    pub fn run<S: DocumentStage>(
        &self,
        stage: &S,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<Outcome, CorpusError> {
        self.run_and(stage, |manifest| manifest, observer, stop)
    }

    /// The same, where the manifest is a part of another one.
    pub(crate) fn run_and<S: DocumentStage>(
        &self,
        stage: &S,
        finish: impl FnOnce(Manifest) -> Manifest,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<Outcome, CorpusError> {
        let begun = Instant::now();
        let (found, record) = self.look(stage)?;
        create_folder(self.out)?;
        if let Some(outcome) = self.kept(&record, observer)? {
            return Ok(outcome);
        }
        let work = self.out.join(self.shard.named(".work", ""));
        create_folder(&work)?;
        let lock = RunLock::acquire(&work)?;
        record.begin_or_go_on(&work)?;
        if let Some(note) = left_out_note(&found.left_out) {
            observer.event(&Event::Note(&note));
        }
        let mine = self.shard.of(&found.units);
        let Some(units) = pool::run(self, stage, &work, &mine, observer, stop)? else {
            return Ok(Outcome::Stopped);
        };
        let mut manifest = finish(self.manifest(stage, &record, units)?);
        manifest.filters.extend(stage.filters(&manifest));
        for warning in warnings(stage, &manifest) {
            // The stage before, of which this is the end, has said some already.
            if !manifest.warnings.contains(&warning) {
                observer.event(&Event::Note(&format!("warning: {warning}")));
                manifest.warnings.push(warning);
            }
        }
        write_json(&self.out.join(self.shard.named("manifest", ".json")), &manifest)?;
        drop(lock);
        remove_folder(&work)?;
        let result = format!("kept {} of {} documents", manifest.kept, manifest.read);
        let seconds = begun.elapsed().as_secs_f64();
        observer.event(&Event::StageFinished { stage: stage.name(), result: &result, seconds });
        Ok(Outcome::Done(Box::new(manifest)))
    }

    /// The outcome, if the folder holds this job, done.
    ///
    /// # Errors
    /// When the folder holds something else.
    pub(crate) fn done<S: DocumentStage>(
        &self,
        stage: &S,
        observer: &mut dyn Observer,
    ) -> Result<Option<Outcome>, CorpusError> {
        self.kept(&self.look(stage)?.1, observer)
    }

    /// What there is to read, and what this job is.
    fn look<S: DocumentStage>(&self, stage: &S) -> Result<(Units, JobRecord), CorpusError> {
        let found = discover(self.inputs)?;
        let record = JobRecord::new(stage.name(), self.shard, self.all_settings(stage), &found.units);
        Ok((found, record))
    }

    fn kept(&self, record: &JobRecord, observer: &mut dyn Observer) -> Result<Option<Outcome>, CorpusError> {
        let manifest = record.finished(self.out)?;
        if manifest.is_some() {
            observer.event(&Event::StageKept { stage: &record.stage });
        }
        Ok(manifest.map(|manifest| Outcome::Done(Box::new(manifest))))
    }

    fn all_settings<S: DocumentStage>(&self, stage: &S) -> serde_json::Value {
        #[derive(Serialize)]
        struct All<'a> {
            #[serde(flatten)]
            job: &'a JobSettings,
            #[serde(flatten)]
            stage: serde_json::Value,
        }
        value_of(&All { job: self.settings, stage: stage.settings() })
    }

    fn manifest<S: DocumentStage>(
        &self,
        stage: &S,
        record: &JobRecord,
        units: Vec<UnitRecord>,
    ) -> Result<Manifest, CorpusError> {
        let mut manifest = Manifest {
            stage: stage.name().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: record.settings.clone(),
            shard: self.shard.is_part().then_some(self.shard),
            ..Manifest::default()
        };
        for unit in units {
            unit.add_to(&mut manifest);
        }
        manifest.adds_up()?;
        Ok(manifest)
    }
}

fn warnings<S: DocumentStage>(stage: &S, manifest: &Manifest) -> Vec<String> {
    let mut warnings = Vec::new();
    if manifest.read == 0 {
        warnings.push("there were no documents in the inputs".to_owned());
    } else if manifest.kept == 0 {
        let most = manifest.dropped.iter().max_by_key(|(_, count)| **count);
        let most = most.map_or(String::new(), |(reason, count)| format!(", {count} of them for '{reason}'"));
        warnings.push(format!("nothing was kept: all {} documents were dropped{most}", manifest.read));
    } else {
        warnings.extend(stage.warnings(manifest));
        warnings.extend(manifest.never_fired());
    }
    let damaged: u64 = manifest.dropped.iter().filter(|(name, _)| Reason::names_damage(name)).map(|(_, n)| n).sum();
    if damaged > 0 {
        let place = manifest
            .damaged
            .first()
            .map_or(String::new(), |damage| format!(", first {} at {}: {}", damage.file, damage.place, damage.found));
        warnings.push(format!("{damaged} documents are damaged and were skipped{place}"));
    }
    warnings
}

/// Settings as manifests have them.
pub(crate) fn value_of<T: Serialize>(settings: &T) -> serde_json::Value {
    // They are plain structs of names and numbers.
    serde_json::to_value(settings).unwrap_or_default()
}

/// The manifest of a folder.
///
/// # Errors
/// When there is none.
pub fn read_manifest(folder: &Path) -> Result<Manifest, CorpusError> {
    Ok(read_json(&folder.join(Manifest::NAME))?)
}

impl UnitRecord {
    fn add_to(self, manifest: &mut Manifest) {
        manifest.read += self.read;
        manifest.kept += self.kept;
        add_counts(&mut manifest.dropped, &self.dropped);
        add_counts(&mut manifest.counts, &self.counts);
        manifest.damaged.extend(self.damaged);
        let (Some(input), Some(output)) = (self.input, self.output) else { return };
        let InputRecord { file, files, bytes, hash, .. } = input;
        manifest.inputs.push(InputRecord { file, files, bytes, hash, read: self.read });
        manifest.outputs.push(OutputRecord { documents: self.kept, ..output });
    }
}
