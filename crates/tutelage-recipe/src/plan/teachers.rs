//! Who teaches a run, from what, and how it enters the loss.

use tutelage_loss::Divergence;
use tutelage_teacher::cache::Kept;
use tutelage_train::Distillation;

use super::resolve::{Found, lookup};
use super::{CachePlan, FirstWeights, Stage, TeacherModel, TeacherSource, TrainPlan};
use crate::RecipeError;
use crate::spec::{CacheSpec, DivergenceSpec, RunSpec, ScheduleSpec, TeacherSpec};

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

/// The model of a run that comes before, or a stored one.
fn model(
    found: Found<'_>,
    stages: &[Stage],
    (run, model): (Option<&String>, Option<&String>),
    user: &str,
) -> Result<TeacherModel, RecipeError> {
    let fault = |found: String| Err(RecipeError::request(format!("{user}: {found}")));
    match (run, model) {
        (Some(run), None) => {
            let train = trained(stages, run, user)?;
            Ok(TeacherModel { name: train.name.clone(), stored: None, config: train.model.clone() })
        }
        (None, Some(name)) => match found.models.get(name).map(|model| (model, &model.first)) {
            None => fault(format!("there is no [models.{name}]")),
            Some((_, FirstWeights::Random)) => {
                fault(format!("[models.{name}] is not stored (it has no 'from'); a run trains it, so give run"))
            }
            Some((_, FirstWeights::Stored { lora: Some(_), .. })) => {
                fault(format!("[models.{name}] has adapters that a run trains; give run"))
            }
            Some((model, FirstWeights::Stored { path, lora: None })) => {
                Ok(TeacherModel { name: name.clone(), stored: Some(path.clone()), config: model.config.clone() })
            }
        },
        _ => fault("give either run or model".to_owned()),
    }
}

pub(super) fn source(
    found: Found<'_>,
    run: &RunSpec,
    teacher: &TeacherSpec,
    stages: &[Stage],
) -> Result<TeacherSource, RecipeError> {
    let user = format!("run '{}'", run.name);
    let source = match &teacher.cache {
        None if teacher.run.is_some() != teacher.model.is_some() => {
            let which = (teacher.run.as_ref(), teacher.model.as_ref());
            TeacherSource::Live { teacher: Box::new(model(found, stages, which, &user)?) }
        }
        Some(name) if teacher.run.is_none() && teacher.model.is_none() => {
            let cache = lookup(&found.spec.caches, "caches", name, &run.name)?;
            let which = (cache.run.as_ref(), cache.model.as_ref());
            let model = model(found, stages, which, &format!("caches.{name}"))?;
            let kept = kept(name, cache, found)?;
            let tempered = teacher.temperature != ScheduleSpec::Number(1.0);
            if matches!(kept, Kept::Samples { .. }) && tempered {
                let found = "samples are drawn at temperature 1, so teacher.temperature cannot be another";
                return Err(RecipeError::request(format!("{user}: {found}")));
            }
            TeacherSource::Cache { cache: name.clone(), teacher: Box::new(model) }
        }
        _ => {
            let found = "teacher needs either run (live) or cache, or model (stored, live)";
            return Err(RecipeError::request(format!("{user}: {found}")));
        }
    };
    let (student, teacher) = (&lookup(found.models, "models", &run.model, &run.name)?.config, source.model());
    let (rows, teachers) = (student.vocab_size, teacher.config.vocab_size);
    if rows != teachers {
        let found = format!("the model has {rows} rows of the vocabulary, its teacher '{}' {teachers}", teacher.name);
        return Err(RecipeError::request(format!("{user}: {found}")));
    }
    if teacher.config.n_positions() < found.spec.data.seq_len {
        let (name, positions) = (&teacher.name, teacher.config.n_positions());
        let found = format!("its teacher '{name}' has {positions} positions, fewer than data.seq_len");
        return Err(RecipeError::request(format!("{user}: {found}")));
    }
    Ok(source)
}

/// Adds the stage of a stored teacher, once.
pub(super) fn stored_teacher(source: &TeacherSource, stages: &mut Vec<Stage>) {
    let teacher = source.model();
    let is_there = stages.iter().any(|stage| matches!(stage, Stage::Stored(stored) if stored.name == teacher.name));
    if teacher.stored.is_some() && !is_there {
        stages.push(Stage::Stored(Box::new(teacher.clone())));
    }
}

fn kept(name: &str, cache: &CacheSpec, found: Found<'_>) -> Result<Kept, RecipeError> {
    let fault = |found: &str| Err(RecipeError::request(format!("caches.{name}: {found}")));
    match (cache.top_p, cache.top_k, cache.samples) {
        (Some(top_p), Some(top_k), None) => {
            if !(top_p > 0.0 && top_p <= 1.0) {
                return fault(&format!("top_p = {top_p}: must be above 0, at most 1"));
            }
            if top_k == 0 || top_k > found.vocab_size {
                return fault(&format!("top_k = {top_k}: must be from 1 to the vocabulary's size"));
            }
            Ok(Kept::TopPK { top_p, top_k })
        }
        (None, None, Some(n)) if (1..=65_535).contains(&n) => Ok(Kept::Samples { n, seed: found.spec.seed }),
        (None, None, Some(n)) => fault(&format!("samples = {n}: must be from 1 to 65535")),
        _ => fault("give both top_p and top_k, or samples"),
    }
}

/// Adds a reader to a cache's stage, which comes before its first reader.
pub(super) fn read_cache(
    found: Found<'_>,
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
    let cache = lookup(&found.spec.caches, "caches", name, &train.group)?;
    let which = (cache.run.as_ref(), cache.model.as_ref());
    let cache = CachePlan {
        name: name.to_owned(),
        teacher: model(found, stages, which, &format!("caches.{name}"))?,
        kept: kept(name, cache, found)?,
        readers: vec![reader],
    };
    stages.push(Stage::Cache(Box::new(cache)));
    Ok(())
}

pub(super) fn objective(found: Found<'_>, run: &RunSpec) -> String {
    let Some(teacher) = &run.teacher else { return "text alone".to_owned() };
    let divergence = match teacher.divergence {
        DivergenceSpec::ForwardKl => "KL",
        DivergenceSpec::Nll => "NLL",
        DivergenceSpec::Mse => "MSE",
    };
    let live = teacher.run.as_ref().or(teacher.model.as_ref());
    let source = match (live, &teacher.cache) {
        (Some(name), _) => format!("live {name}, whole vocabulary"),
        (None, Some(name)) => match found.spec.caches.get(name).map(|cache| (cache, kept(name, cache, found))) {
            Some((cache, Ok(kept))) => {
                let of = cache.run.as_ref().or(cache.model.as_ref());
                format!("cached {}, {kept}", of.map_or("", |name| name))
            }
            _ => name.clone(),
        },
        (None, None) => String::new(),
    };
    format!("{source}, tau {}, {divergence}, alpha {}", teacher.temperature, teacher.alpha)
}
