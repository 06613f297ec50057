//! Settings become a stage, which is carried out on its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};
use tutelage_corpus::{
    Decontaminate, DedupSettings, DocumentStage, FormatSettings, Job, JobSettings, Outcome, Quality, Read, Rules,
    Safety, ShardOf, dedup, format,
};
use tutelage_run::{Observer, StopFlag};

use crate::load::apply;
use crate::{EngineChoice, RecipeError};

/// The stages that documents go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageName {
    /// Files of every kind become JSONL.
    Read,
    /// Pages become texts, texts are written in one way.
    Format,
    /// Heuristic filters.
    Rules,
    /// Of copies one is kept.
    Dedup,
    /// Blocked domains, blocked words, personal data.
    Safety,
    /// Classifiers with thresholds.
    Quality,
    /// What stands in evaluation sets is taken out.
    Decontaminate,
}

impl StageName {
    const ALL: [(&'static str, Self); 7] = [
        ("read", Self::Read),
        ("format", Self::Format),
        ("rules", Self::Rules),
        ("dedup", Self::Dedup),
        ("safety", Self::Safety),
        ("quality", Self::Quality),
        ("decontaminate", Self::Decontaminate),
    ];

    /// The stage of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn parse(name: &str) -> Result<Self, RecipeError> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, stage)| *stage);
        found.ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|(known, _)| *known).collect();
            RecipeError::request(format!("no stage '{name}'; there are {}", known.join(", ")))
        })
    }
}

/// One stage, and where from and where to.
#[derive(Debug)]
pub struct StageRequest<'a> {
    /// Which.
    pub stage: StageName,
    /// Files, folders of files, or folders that another stage wrote.
    pub inputs: &'a [PathBuf],
    /// The folder to write.
    pub out: &'a Path,
    /// Settings, as `key=value`.
    pub set: &'a [String],
    /// Which part of the inputs.
    pub shard: ShardOf,
}

/// Carries out a stage, or goes on with it.
///
/// # Errors
/// When a setting or an input is wrong, the folder holds something else, or the system refuses.
pub fn data_stage(
    request: &StageRequest<'_>,
    engine: &EngineChoice,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, RecipeError> {
    let mut table = Table::new();
    for item in request.set {
        apply(&mut table, item)?;
    }
    carry_out(request, table, engine, observer, stop)
}

/// The same, with settings that are a table.
pub(super) fn carry_out(
    request: &StageRequest<'_>,
    table: Table,
    engine: &EngineChoice,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, RecipeError> {
    let (job, table) = job_settings(table)?;
    let mut carry_out = CarryOut { request, job: &job, threads: engine.threads(), observer, stop };
    match request.stage {
        StageName::Read => {
            settings::<NoSettings>(table)?;
            carry_out.documents(&Read)
        }
        StageName::Format => {
            let settings: FormatSettings = settings(table)?;
            let job = carry_out.job();
            Ok(format(&job, &settings, carry_out.observer, stop)?)
        }
        StageName::Dedup => {
            let settings: DedupSettings = settings(table)?;
            let job = carry_out.job();
            Ok(dedup(&job, &settings, carry_out.observer, stop)?)
        }
        StageName::Decontaminate => carry_out.documents(&Decontaminate::new(settings(table)?)?),
        StageName::Quality => carry_out.documents(&Quality::new(settings(table)?)?),
        StageName::Safety => carry_out.documents(&Safety::new(settings(table)?)?),
        StageName::Rules => carry_out.documents(&Rules::new(settings(table)?)?),
    }
}

/// What is lost at most when the process is killed.
const COMMIT_EVERY: Duration = Duration::from_secs(2);

struct CarryOut<'a> {
    request: &'a StageRequest<'a>,
    job: &'a JobSettings,
    threads: usize,
    observer: &'a mut dyn Observer,
    stop: &'a StopFlag,
}

impl<'a> CarryOut<'a> {
    fn job(&self) -> Job<'a> {
        let StageRequest { inputs, out, shard, .. } = *self.request;
        Job { inputs, out, shard, settings: self.job, threads: self.threads, commit_every: COMMIT_EVERY }
    }

    fn documents<S: DocumentStage>(&mut self, stage: &S) -> Result<Outcome, RecipeError> {
        Ok(self.job().run(stage, self.observer, self.stop)?)
    }
}

/// A stage that can be told nothing of its own.
#[derive(Debug, Default, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

/// Takes out what every stage can be told.
fn job_settings(table: Table) -> Result<(JobSettings, Table), RecipeError> {
    let known = names(&JobSettings::default());
    let (job, stage) = table.into_iter().partition(|(name, _)| known.contains(name));
    Ok((of_table(job)?, stage))
}

/// The settings of a stage, the defaults of which say what there is.
fn settings<T: Default + Serialize + DeserializeOwned>(table: Table) -> Result<T, RecipeError> {
    let known = names(&T::default());
    if let Some(unknown) = table.keys().find(|name| !known.contains(name)) {
        let all: Vec<String> = names(&JobSettings::default()).into_iter().chain(known).collect();
        return Err(RecipeError::request(format!("no setting '{unknown}' in this stage; it has {}", all.join(", "))));
    }
    of_table(table)
}

fn of_table<T: DeserializeOwned>(table: Table) -> Result<T, RecipeError> {
    Value::Table(table)
        .try_into()
        .map_err(|error| RecipeError::request(format!("settings: {}", error.to_string().trim())))
}

fn names<T: Serialize>(settings: &T) -> Vec<String> {
    match serde_json::to_value(settings) {
        Ok(serde_json::Value::Object(map)) => map.into_iter().map(|(name, _)| name).collect(),
        _ => Vec::new(),
    }
}
