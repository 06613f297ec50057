//! The folder of a stage that is no [`Job`](super::Job): begun, gone on with, found done, and refused to others, as every stage's is.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tutelage_run::{Event, Observer, RunLock, create_folder, remove_file, remove_folder, write_json};

use super::{JobRecord, ShardOf};
use crate::input::{Units, discover_any};
use crate::{CorpusError, Manifest};

/// What a stage is, and where.
#[derive(Debug)]
pub struct StageFolder<'a> {
    /// Its name.
    pub stage: &'static str,
    /// All of its settings.
    pub settings: Value,
    /// Files and folders that it reads.
    pub inputs: &'a [PathBuf],
    /// The folder that it writes.
    pub out: &'a Path,
}

/// A stage at work, which nobody else may carry out.
#[derive(Debug)]
pub struct OpenStage<'a> {
    folder: &'a StageFolder<'a>,
    work: PathBuf,
    lock: RunLock,
}

impl StageFolder<'_> {
    fn record(&self) -> Result<JobRecord, CorpusError> {
        let Units { units, .. } = discover_any(self.inputs)?;
        Ok(JobRecord::new(self.stage, ShardOf::ALL, self.settings.clone(), &units))
    }

    /// The manifest, if the folder holds this stage, done.
    ///
    /// # Errors
    /// When there is nothing to read, or the folder holds something else.
    pub fn done(&self, observer: &mut dyn Observer) -> Result<Option<Manifest>, CorpusError> {
        let manifest = self.record()?.finished(self.out)?;
        if manifest.is_some() {
            observer.event(&Event::StageKept { stage: self.stage });
        }
        Ok(manifest)
    }

    /// Begins, or goes on.
    ///
    /// # Errors
    /// When the folder is in use, or holds something else.
    pub fn begin(&self) -> Result<OpenStage<'_>, CorpusError> {
        let work = self.out.join(".work");
        create_folder(&work)?;
        let lock = RunLock::acquire(&work)?;
        self.record()?.begin_or_go_on(&work)?;
        Ok(OpenStage { folder: self, work, lock })
    }
}

impl OpenStage<'_> {
    /// A folder for what is needed until the stage is done.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// Lets the stage be begun with other settings: nothing that depends on them was written. What lies in [`Self::work`] stays.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn forget(self) -> Result<(), CorpusError> {
        Ok(remove_file(&self.work.join(JobRecord::NAME))?)
    }

    /// A manifest that says what the stage is, and nothing yet of what it did.
    pub fn manifest(&self) -> Manifest {
        Manifest {
            stage: self.folder.stage.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: self.folder.settings.clone(),
            ..Manifest::default()
        }
    }

    /// Ends it: tells the warnings, writes the manifest, and removes what is no longer needed.
    ///
    /// # Errors
    /// When the counts do not add up, or the system refuses.
    pub fn finish(self, manifest: Manifest, observer: &mut dyn Observer) -> Result<Manifest, CorpusError> {
        manifest.adds_up()?;
        for warning in &manifest.warnings {
            observer.event(&Event::Note(&format!("warning: {warning}")));
        }
        write_json(&self.folder.out.join(Manifest::NAME), &manifest)?;
        drop(self.lock);
        remove_folder(&self.work)?;
        Ok(manifest)
    }
}

/// Whether a folder holds this stage, done.
pub fn is_stage(folder: &Path, stage: &str) -> bool {
    super::read_manifest(folder).is_ok_and(|manifest| manifest.stage == stage)
}
