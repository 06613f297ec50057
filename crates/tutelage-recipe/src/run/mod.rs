//! Carrying out a plan, stage by stage, in a run folder.

mod cache;
mod evaluate;
mod session;
mod shards;
mod summary;
mod teachers;
mod tokenizer;
mod training;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tutelage_run::records::{Manifest, StageRecord};
use tutelage_run::{
    Event, FileError, Machine, Observer, RunLock, StopFlag, create_folder, hash_bytes, write_atomic, write_json,
};
use tutelage_tensor::Isa;

use crate::plan::{CachePlan, FirstWeights, Plan, Stage, TrainPlan, training};
use crate::{EngineChoice, RecipeError};
use session::{Flow, Session};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOutcome {
    /// Every stage is done.
    Done(PathBuf),
    /// It was asked to stop; what is done is kept.
    Stopped(PathBuf),
}

/// Carries out `plan` in `out` (`runs/NAME` if not given), from where an earlier run stopped.
///
/// # Errors
/// When the folder is in use or holds another run, or a stage fails; what is done is kept.
pub fn run(
    plan: &Plan,
    out: Option<&Path>,
    engine: &EngineChoice,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<RunOutcome, RecipeError> {
    let device = engine.device()?;
    let machine = Machine::here(device.n_threads(), device.isa().to_string());
    fits(plan, device.isa(), machine.memory_bytes)?;
    let folder = run_folder(plan, out);
    create_folder(&folder)?;
    let _lock = RunLock::acquire(&folder)?;
    let resolved = plan.recipe.resolved()?;
    let copy = folder.join("recipe.resolved.toml");
    if !copy.exists() {
        write_atomic(&copy, resolved.as_bytes())?;
    }
    let mut session = Session::new(plan, folder, device, observer, stop);
    let begun = Instant::now();
    let finished = session.stages()?;
    // No stage was refused, so the recipe is now this one.
    write_atomic(&copy, resolved.as_bytes())?;
    let manifest = Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        recipe: plan.recipe.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        recipe_hash: hash_bytes(resolved.as_bytes()),
        machine,
        stages: session.records.clone(),
    };
    write_json(&session.folder.join("manifest.json"), &manifest)?;
    if finished == Flow::Stopped {
        return Ok(RunOutcome::Stopped(session.folder));
    }
    session.summarize(begun)?;
    Ok(RunOutcome::Done(session.folder))
}

/// Makes what the cache `name` of the plan needs, and the cache, in `out` (`runs/NAME` if not given).
///
/// Several processes may do this for one folder at once, on several machines that share it: one makes what is needed first, the
/// others wait for it; then each writes parts that no other has.
///
/// # Errors
/// When there is no such cache, the folder holds another run, or a stage fails; what is done is kept.
pub fn cache(
    plan: &Plan,
    name: &str,
    out: Option<&Path>,
    engine: &EngineChoice,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<RunOutcome, RecipeError> {
    let (cache, needed) = needs(plan, name)?;
    let folder = run_folder(plan, out);
    create_folder(&folder)?;
    let lock = loop {
        match RunLock::acquire(&folder) {
            Ok(lock) => break lock,
            Err(FileError::InUse { holder, .. }) if !stop.is_raised() => {
                observer.event(&Event::Note(&format!("waiting: {} is in use{holder}", folder.display())));
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    };
    let mut session = Session::new(plan, folder, engine.device()?, observer, stop);
    let Flow::Done(tokenizer) = session.tokenizer()? else { return Ok(RunOutcome::Stopped(session.folder)) };
    let Flow::Done(shards) = session.shards(&tokenizer)? else { return Ok(RunOutcome::Stopped(session.folder)) };
    for train in needed {
        if session.training(train, &tokenizer, &shards)? == Flow::Stopped {
            return Ok(RunOutcome::Stopped(session.folder));
        }
    }
    drop(lock);
    Ok(match session.cache(cache, &tokenizer, &shards)? {
        Flow::Done(()) => RunOutcome::Done(session.folder),
        Flow::Stopped => RunOutcome::Stopped(session.folder),
    })
}

/// Between two looks at a folder that is in use.
const PAUSE: Duration = Duration::from_secs(2);

/// A cache of the plan, and the trainings that it needs, in order.
fn needs<'p>(plan: &'p Plan, name: &str) -> Result<(&'p CachePlan, Vec<&'p TrainPlan>), RecipeError> {
    let cache = cache::find(plan, name)?;
    let mut needed = Vec::new();
    if let Some(train) = cache.teacher.model().and_then(|teacher| teacher.training(&plan.stages)) {
        trainings(plan, name, train, &mut needed)?;
    }
    Ok((cache, needed))
}

/// Adds a training, after those of its teachers and the one that it goes on from.
fn trainings<'p>(
    plan: &'p Plan,
    cache: &str,
    train: &'p TrainPlan,
    needed: &mut Vec<&'p TrainPlan>,
) -> Result<(), RecipeError> {
    if needed.iter().any(|known| known.name == train.name) {
        return Ok(());
    }
    if let Some(source) = &train.teacher {
        if let Some(other) = source.caches().first() {
            let found = format!("its teacher '{}' learns from cache '{other}', so make that first", train.name);
            return Err(RecipeError::request(format!("cache '{cache}': {found}, with 'tutelage run'")));
        }
        for before in source.models().into_iter().filter_map(|teacher| teacher.training(&plan.stages)) {
            trainings(plan, cache, before, needed)?;
        }
    }
    if let FirstWeights::Run(name) = &train.first
        && let Some(before) = training(&plan.stages, name)
    {
        trainings(plan, cache, before, needed)?;
    }
    needed.push(train);
    Ok(())
}

fn run_folder(plan: &Plan, out: Option<&Path>) -> PathBuf {
    out.map_or_else(|| Path::new("runs").join(&plan.recipe.spec.name), Path::to_path_buf)
}

/// Refuses what this machine cannot hold: the system would kill it in the middle.
fn fits(plan: &Plan, isa: Isa, memory_bytes: Option<u64>) -> Result<(), RecipeError> {
    let Some(available) = memory_bytes else { return Ok(()) };
    match plan.rows(isa).into_iter().find(|row| row.memory_bytes > available) {
        None => Ok(()),
        Some(row) => Err(RecipeError::request(format!(
            "stage '{}' needs about {:.1} GB of memory, this machine has {:.1}; lower micro_batch_size, set \
             recompute = true, or choose a smaller model ('tutelage plan' shows every stage)",
            row.stage,
            row.memory_bytes as f64 / 1e9,
            available as f64 / 1e9
        ))),
    }
}

impl Session<'_> {
    fn stages(&mut self) -> Result<Flow<()>, RecipeError> {
        let plan = self.plan;
        let Flow::Done(tokenizer) = self.tokenizer()? else { return Ok(Flow::Stopped) };
        let Flow::Done(shards) = self.shards(&tokenizer)? else { return Ok(Flow::Stopped) };
        for stage in &plan.stages {
            let flow = match stage {
                Stage::Cache(cache) => self.cache(cache, &tokenizer, &shards)?,
                Stage::Train(train) => self.training(train, &tokenizer, &shards)?,
                Stage::Stored(_) => Flow::Done(()),
            };
            if flow == Flow::Stopped {
                return Ok(Flow::Stopped);
            }
        }
        for stage in &plan.stages {
            let flow = match stage {
                Stage::Train(train) => self.evaluation(&train.name, None, &tokenizer, &shards)?,
                Stage::Stored(teacher) => self.evaluation(&teacher.name, Some(teacher), &tokenizer, &shards)?,
                Stage::Cache(_) => continue,
            };
            if flow == Flow::Stopped {
                return Ok(Flow::Stopped);
            }
        }
        Ok(Flow::Done(()))
    }

    /// The record of a stage that is done.
    fn record(&self, stage: &str) -> Result<&StageRecord, RecipeError> {
        let found = self.records.iter().find(|record| record.stage == stage);
        found.ok_or_else(|| RecipeError::request(format!("stage '{stage}' is not done")))
    }
}
