//! What stages share: the folder, and the rule by which a stage is kept, begun or refused.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tutelage_run::records::StageRecord;
use tutelage_run::{Event, Hash, Hasher, Observer, StopFlag, create_folder, read_json, write_json};
use tutelage_tensor::Device;

use crate::plan::Plan;
use crate::{RecipeError, stored};

/// One run.
pub(super) struct Session<'a> {
    pub(super) plan: &'a Plan,
    pub(super) folder: PathBuf,
    pub(super) device: Device,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) stop: &'a StopFlag,
    /// Stages done, in order.
    pub(super) records: Vec<StageRecord>,
    /// Hashes of stored models, by path: of gigabytes, perhaps.
    pub(super) stored_hashes: HashMap<PathBuf, Hash>,
}

/// Whether to go on.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Flow<T> {
    Done(T),
    Stopped,
}

/// What a stage made.
pub(super) struct Made {
    /// Hash of it, for the stages that read it.
    pub(super) output: Hash,
    /// In a few words.
    pub(super) result: String,
    /// Seconds, where the stage counts them itself.
    pub(super) seconds: Option<f64>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        folder: PathBuf,
        device: Device,
        observer: &'a mut dyn Observer,
        stop: &'a StopFlag,
    ) -> Self {
        Self { plan, folder, device, observer, stop, records: Vec::new(), stored_hashes: HashMap::new() }
    }

    /// Hash of a stage's settings and inputs.
    pub(super) fn fingerprint(&self, stage: &str, parts: &[&str]) -> Hash {
        let mut hasher = Hasher::default();
        hasher.part(b"tutelage-stage-1").part(stage.as_bytes());
        parts.iter().for_each(|part| {
            hasher.part(part.as_bytes());
        });
        hasher.finish()
    }

    /// Hash of a stored model's files.
    pub(super) fn stored_hash(&mut self, path: &Path) -> Result<Hash, RecipeError> {
        if let Some(hash) = self.stored_hashes.get(path) {
            return Ok(hash.clone());
        }
        let hash = stored::hash(path)?;
        self.stored_hashes.insert(path.to_path_buf(), hash.clone());
        Ok(hash)
    }

    pub(super) fn started(&mut self, stage: &str, detail: &str, total: Option<u64>) {
        self.observer.event(&Event::StageStarted { stage, detail, total, done: 0 });
    }

    /// Keeps the stage if it is done, else does it; refuses a folder that holds the same stage made otherwise.
    pub(super) fn stage(
        &mut self,
        stage: &str,
        folder: &Path,
        fingerprint: Hash,
        work: impl FnOnce(&mut Self, &Path) -> Result<Flow<Made>, RecipeError>,
    ) -> Result<Flow<StageRecord>, RecipeError> {
        let path = folder.join("stage.json");
        if path.exists() {
            let record: StageRecord = read_json(&path)?;
            if record.fingerprint != fingerprint {
                return Err(RecipeError::request(format!(
                    "stage '{stage}' in {} was made with other settings or data than are asked for now; \
                     choose another --out, or remove that folder to make it anew",
                    folder.display()
                )));
            }
            self.observer.event(&Event::StageKept { stage });
            self.records.push(record.clone());
            return Ok(Flow::Done(record));
        }
        if self.stop.is_raised() {
            return Ok(Flow::Stopped);
        }
        create_folder(folder)?;
        let begun = Instant::now();
        let Flow::Done(made) = work(self, folder)? else { return Ok(Flow::Stopped) };
        let here = begun.elapsed().as_secs_f64();
        let record = StageRecord {
            stage: stage.to_owned(),
            fingerprint,
            output: made.output,
            seconds: made.seconds.unwrap_or(here),
        };
        write_json(&path, &record)?;
        self.observer.event(&Event::StageFinished { stage, result: &made.result, seconds: here });
        self.records.push(record.clone());
        Ok(Flow::Done(record))
    }
}
