//! Who teaches a run, from what, and how it enters the loss.

use tutelage_loss::Divergence;
use tutelage_teacher::cache::Kept;
use tutelage_train::Distillation;

use super::resolve::lookup;
use super::{CachePlan, Stage, TeacherSource, TrainPlan};
use crate::RecipeError;
use crate::spec::{CacheSpec, DivergenceSpec, RecipeSpec, RunSpec, ScheduleSpec, TeacherSpec};

pub(super) fn distillation(run: &RunSpec, teacher: &TeacherSpec, steps: u64) -> Result<Distillation, RecipeError> {
    let name = |key: &str| format!("run '{}': teacher.{key}", run.name);
    if !(teacher.student_temperature > 0.0 && teacher.student_temperature <= 1e3) {
        let found = format!("{} = {}: must be above 0", name("student_temperature"), teacher.student_temperature);
        return Err(RecipeError::request(found));
    }
    let temperature = teacher.temperature.resolve(&name("temperature"), steps, (1e-3, 1e3))?;
    if temperature.warmup_steps > 0 {
        let found = format!("{}: warm-up begins at zero, which is no temperature", name("temperature"));
        return Err(RecipeError::request(found));
    }
    Ok(Distillation {
        alpha: teacher.alpha.resolve(&name("alpha"), steps, (0.0, 1.0))?,
        temperature,
        student_temperature: teacher.student_temperature,
        divergence: match teacher.divergence {
            DivergenceSpec::ForwardKl => Divergence::ForwardKl,
            DivergenceSpec::Nll => Divergence::Nll,
            DivergenceSpec::Mse => Divergence::Mse,
        },
        temperature_squared: teacher.temperature_squared,
    })
}

/// The one trained model of that name among the stages so far.
fn trained<'a>(stages: &'a [Stage], run: &str, user: &str) -> Result<&'a TrainPlan, RecipeError> {
    let mut found = stages.iter().filter_map(|stage| match stage {
        Stage::Train(train) if train.group == run || train.name == run => Some(&**train),
        _ => None,
    });
    match (found.next(), found.next()) {
        (Some(train), None) => Ok(train),
        (Some(train), Some(_)) => Err(RecipeError::request(format!(
            "{user}: run '{run}' trains several seeds; name one of them, as in '{}'",
            train.name
        ))),
        _ => Err(RecipeError::request(format!("{user}: no run '{run}' comes before it, to be its teacher"))),
    }
}

pub(super) fn source(
    spec: &RecipeSpec,
    run: &RunSpec,
    teacher: &TeacherSpec,
    stages: &[Stage],
) -> Result<TeacherSource, RecipeError> {
    let user = format!("run '{}'", run.name);
    match (&teacher.run, &teacher.cache) {
        (Some(name), None) => {
            let train = trained(stages, name, &user)?;
            Ok(TeacherSource::Live { run: train.name.clone(), config: Box::new(train.model.clone()) })
        }
        (None, Some(cache)) => {
            let found = lookup(&spec.caches, "caches", cache, &run.name)?;
            let train = trained(stages, &found.run, &format!("caches.{cache}"))?;
            let kept = kept(cache, found, spec)?;
            let tempered = teacher.temperature != ScheduleSpec::Number(1.0);
            if matches!(kept, Kept::Samples { .. }) && tempered {
                let found = "samples are drawn at temperature 1, so teacher.temperature cannot be another";
                return Err(RecipeError::request(format!("{user}: {found}")));
            }
            Ok(TeacherSource::Cache { cache: cache.clone(), run: train.name.clone() })
        }
        _ => Err(RecipeError::request(format!("{user}: teacher needs either run (live) or cache"))),
    }
}

fn kept(name: &str, cache: &CacheSpec, spec: &RecipeSpec) -> Result<Kept, RecipeError> {
    let fault = |found: &str| Err(RecipeError::request(format!("caches.{name}: {found}")));
    match (cache.top_p, cache.top_k, cache.samples) {
        (Some(top_p), Some(top_k), None) => {
            if !(top_p > 0.0 && top_p <= 1.0) {
                return fault(&format!("top_p = {top_p}: must be above 0, at most 1"));
            }
            if top_k == 0 || top_k > spec.tokenizer.vocab_size {
                return fault(&format!("top_k = {top_k}: must be from 1 to the vocabulary's size"));
            }
            Ok(Kept::TopPK { top_p, top_k })
        }
        (None, None, Some(n)) if (1..=65_535).contains(&n) => Ok(Kept::Samples { n, seed: spec.seed }),
        (None, None, Some(n)) => fault(&format!("samples = {n}: must be from 1 to 65535")),
        _ => fault("give both top_p and top_k, or samples"),
    }
}

/// Adds a reader to a cache's stage, which comes before its first reader.
pub(super) fn read_cache(
    spec: &RecipeSpec,
    name: &str,
    train: &TrainPlan,
    stages: &mut Vec<Stage>,
) -> Result<(), RecipeError> {
    let reader = (train.config.data_seed, train.config.steps * train.config.batch_size as u64);
    for stage in stages.iter_mut() {
        if let Stage::Cache(cache) = stage
            && cache.name == name
        {
            cache.readers.push(reader);
            return Ok(());
        }
    }
    let found = lookup(&spec.caches, "caches", name, &train.group)?;
    let teacher = trained(stages, &found.run, &format!("caches.{name}"))?;
    let cache = CachePlan {
        name: name.to_owned(),
        teacher: teacher.name.clone(),
        teacher_config: teacher.model.clone(),
        kept: kept(name, found, spec)?,
        readers: vec![reader],
    };
    stages.push(Stage::Cache(Box::new(cache)));
    Ok(())
}

pub(super) fn objective(spec: &RecipeSpec, run: &RunSpec) -> String {
    let Some(teacher) = &run.teacher else { return "text alone".to_owned() };
    let divergence = match teacher.divergence {
        DivergenceSpec::ForwardKl => "KL",
        DivergenceSpec::Nll => "NLL",
        DivergenceSpec::Mse => "MSE",
    };
    let source = match (&teacher.run, &teacher.cache) {
        (Some(run), _) => format!("live {run}, whole vocabulary"),
        (None, Some(name)) => match spec.caches.get(name).map(|cache| kept(name, cache, spec)) {
            Some(Ok(kept)) => format!("cached {}, {kept}", spec.caches[name].run),
            _ => name.clone(),
        },
        (None, None) => String::new(),
    };
    format!("{source}, tau {}, {divergence}, alpha {}", teacher.temperature, teacher.alpha)
}
