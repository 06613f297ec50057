//! Settings become a stage, which is carried out on its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};
use tutelage_cluster::Relational;
use tutelage_corpus::{
    Card, ClassifierTraining, Classify, Decontaminate, Job, JobSettings, JoinCopies, Outcome, Quality, Read, Rules,
    Safety, ShardOf, dedup_by, evaluate_classifier, format, train_classifier,
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
    /// A classifier gives documents their label.
    Classify,
    /// What stands in evaluation sets is taken out.
    Decontaminate,
    /// Documents become tokens.
    Tokenize,
    /// Sources become phases.
    Mix,
}

impl StageName {
    const ALL: [(&'static str, Self); 10] = [
        ("read", Self::Read),
        ("format", Self::Format),
        ("rules", Self::Rules),
        ("dedup", Self::Dedup),
        ("safety", Self::Safety),
        ("quality", Self::Quality),
        ("classify", Self::Classify),
        ("decontaminate", Self::Decontaminate),
        ("tokenize", Self::Tokenize),
        ("mix", Self::Mix),
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
    carry_out(request, table_of(request.set)?, engine, observer, stop)
}

/// Learns a classifier from documents with labels, or goes on with it.
///
/// # Errors
/// When a setting or an input is wrong, the folder holds something else, or the system refuses.
pub fn classifier_training(
    inputs: &[PathBuf],
    out: &Path,
    set: &[String],
    engine: &EngineChoice,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, RecipeError> {
    let (job_settings, table) = job_settings(table_of(set)?)?;
    let settings: ClassifierTraining = settings(table)?;
    let job = job(inputs, out, ShardOf::ALL, &job_settings, engine);
    Ok(train_classifier(&job, &settings, observer, stop)?)
}

/// Evaluates a classifier beside documents with labels.
///
/// # Errors
/// When a setting, the model or an input is wrong, or the system refuses.
pub fn classifier_evaluation(
    model: &Path,
    inputs: &[PathBuf],
    set: &[String],
    observer: &mut dyn Observer,
) -> Result<Card, RecipeError> {
    let (job, table) = job_settings(table_of(set)?)?;
    Ok(evaluate_classifier(model, inputs, &job, &settings(table)?, observer)?)
}

fn table_of(set: &[String]) -> Result<Table, RecipeError> {
    let mut table = Table::new();
    set.iter().try_for_each(|item| apply(&mut table, item))?;
    Ok(table)
}

fn job<'a>(
    inputs: &'a [PathBuf],
    out: &'a Path,
    shard: ShardOf,
    settings: &'a JobSettings,
    engine: &EngineChoice,
) -> Job<'a> {
    Job { inputs, out, shard, settings, threads: engine.threads(), commit_every: COMMIT_EVERY }
}

/// The same, with settings that are a table.
pub(super) fn carry_out(
    request: &StageRequest<'_>,
    table: Table,
    engine: &EngineChoice,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, RecipeError> {
    let (job_settings, mut table) = job_settings(table)?;
    let join = joiner(request.stage, &mut table, engine.threads())?;
    let job = job(request.inputs, request.out, request.shard, &job_settings, engine);
    let outcome = match request.stage {
        StageName::Read => {
            settings::<NoSettings>(table)?;
            job.run(&Read, observer, stop)
        }
        StageName::Format => format(&job, &settings(table)?, observer, stop),
        StageName::Rules => job.run(&Rules::new(settings(table)?)?, observer, stop),
        StageName::Dedup => {
            let join = join.as_ref().map(|join| join as &dyn JoinCopies);
            dedup_by(&job, &settings(table)?, join, observer, stop)
        }
        StageName::Safety => job.run(&Safety::new(settings(table)?)?, observer, stop),
        StageName::Quality => job.run(&Quality::new(settings(table)?)?, observer, stop),
        StageName::Classify => job.run(&Classify::new(settings(table)?)?, observer, stop),
        StageName::Decontaminate => job.run(&Decontaminate::new(settings(table)?)?, observer, stop),
        StageName::Tokenize => return super::tokens::tokenize(&job, &settings(table)?, observer, stop),
        StageName::Mix => return super::tokens::mix(&job, &settings(table)?, observer, stop),
    };
    Ok(outcome?)
}

/// Who finds copies, where that is not this process by itself: `engine`, and the cluster's `scheduler`. The kept set is the same, so they are
/// no settings of the stage.
fn joiner(stage: StageName, table: &mut Table, threads: usize) -> Result<Option<Relational>, RecipeError> {
    if stage != StageName::Dedup {
        return Ok(None);
    }
    let text = |value: Option<Value>, name: &str| match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(RecipeError::request(format!("{name} = {other}: expected a text"))),
    };
    let engine = text(table.remove("engine"), "engine")?;
    let scheduler = text(table.remove("scheduler"), "scheduler")?;
    match (engine.as_deref(), scheduler) {
        (None | Some("embedded"), None) => Ok(None),
        (None | Some("datafusion"), scheduler) => Ok(Some(Relational::new(scheduler.as_deref(), threads)?)),
        (Some("embedded"), Some(_)) => Err(RecipeError::request("scheduler: engine = embedded asks no cluster")),
        (Some(other), _) => Err(RecipeError::request(format!("engine = {other}: expected embedded or datafusion"))),
    }
}

/// What is lost at most when the process is killed.
const COMMIT_EVERY: Duration = Duration::from_secs(2);

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
