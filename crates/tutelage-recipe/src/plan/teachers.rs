//! Who teaches a run, and from what.

use tutelage_model::DecoderConfig;
use tutelage_teacher::cache::Kept;
use tutelage_teacher::capture::{Capture, Context};

use super::resolve::{Found, lookup};
use super::{CachePlan, FirstWeights, Stage, TeacherModel, TeacherSource, Teaches, TrainPlan, servers, several};
use crate::RecipeError;
use crate::spec::{CacheSpec, RunSpec, TeacherSpec};

/// The trainings of a run among the stages so far, or the one of a seed that is named.
fn trainings<'a>(stages: &'a [Stage], run: &str) -> Vec<&'a TrainPlan> {
    stages.iter().filter_map(Stage::training).filter(|train| train.group == run || train.name == run).collect()
}

/// The one trained model of that name among the stages so far.
fn trained<'a>(stages: &'a [Stage], run: &str, user: &str) -> Result<&'a TrainPlan, RecipeError> {
    match trainings(stages, run)[..] {
        [train] => Ok(train),
        [train, ..] => Err(RecipeError::request(format!(
            "{user}: run '{run}' trains several seeds; name one of them, as in '{}'",
            train.name
        ))),
        [] => Err(RecipeError::request(format!("{user}: no run '{run}' comes before it, to be its teacher"))),
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
            let (name, config) = (train.name.clone(), train.model.clone());
            Ok(TeacherModel { name, stored: None, snapshot: None, config, own: None })
        }
        (None, Some(name)) => match found.models.get(name).map(|model| (model, &model.first)) {
            None => fault(format!("there is no [models.{name}]")),
            Some((_, FirstWeights::Random | FirstWeights::Run(_))) => {
                fault(format!("[models.{name}] is not stored (it has no 'from'); a run trains it, so give run"))
            }
            Some((_, FirstWeights::Stored { lora: Some(_), .. })) => {
                fault(format!("[models.{name}] has adapters that a run trains; give run"))
            }
            Some((model, FirstWeights::Stored { path, lora: None })) => Ok(TeacherModel {
                name: name.clone(),
                stored: Some(path.clone()),
                snapshot: None,
                config: model.config.clone(),
                own: model.own.clone(),
            }),
        },
        _ => fault("give either run or model".to_owned()),
    }
}

/// The step of the teacher's training that a cache is made after.
fn snapshot(
    stages: &[Stage],
    cache: &CacheSpec,
    teacher: &TeacherModel,
    user: &str,
) -> Result<Option<u64>, RecipeError> {
    let Some(share) = cache.snapshot else { return Ok(None) };
    let fault = |found: String| Err(RecipeError::request(format!("{user}: snapshot = {share}: {found}")));
    let Some(train) = teacher.training(stages) else {
        return fault("only a run's model was otherwise before; give run".to_owned());
    };
    let step = (share * train.config.steps as f64).round() as u64;
    match train.config.snapshots.contains(&step) {
        true => Ok(Some(step)),
        false => fault(format!(
            "run '{}' keeps no model of step {step}; name the share in its training's snapshots",
            teacher.name
        )),
    }
}

/// Who is written down in a cache.
fn teaches(
    found: Found<'_>,
    stages: &[Stage],
    name: &str,
    cache: &CacheSpec,
    user: &str,
) -> Result<Teaches, RecipeError> {
    let fault = |found: &str| Err(RecipeError::request(format!("caches.{name}: {found}")));
    let which = (cache.run.as_ref(), cache.model.as_ref());
    if cache.longer_context && cache.capture.is_none() {
        return fault("longer_context is for captures: other teachers read what the student reads");
    }
    match (&cache.server, &cache.capture) {
        (None, None) => {
            let user = format!("caches.{name}");
            let mut teacher = model(found, stages, which, &user)?;
            if teacher.own.is_some() && cache.samples.is_some() {
                return fault(
                    "a teacher with own_vocabulary shares some of its entries, so samples of all are not the student's; \
                     set top_k in place of samples",
                );
            }
            teacher.snapshot = snapshot(stages, cache, &teacher, &user)?;
            Ok(Teaches::Model(Box::new(teacher)))
        }
        _ if cache.samples.is_some() => {
            fault("servers and captures have the most likely entries, and no samples; set top_k in place of samples")
        }
        _ if cache.snapshot.is_some() => fault("snapshot is of a run"),
        (Some(server), None) if which == (None, None) => Ok(Teaches::Server(servers::server(found, server, user)?)),
        (None, Some(folder)) if which == (None, None) => {
            let capture = Capture::open(folder)?;
            capture.check(cache.top_k.unwrap_or(1), found.vocab_size)?;
            let context = if cache.longer_context { Context::Longer } else { Context::Same };
            Ok(Teaches::Capture(capture, context))
        }
        _ => fault("give one of run, model, server and capture"),
    }
}

/// The weights of a run before that a run of this seed goes on from.
pub(super) fn first_weights(
    run: &RunSpec,
    seed: u64,
    (model, first): (&DecoderConfig, &FirstWeights),
    stages: &[Stage],
) -> Result<FirstWeights, RecipeError> {
    let Some(from) = &run.from else { return Ok(first.clone()) };
    let fault = |found: String| Err(RecipeError::request(format!("run '{}': from = '{from}': {found}", run.name)));
    let found = match trainings(stages, from)[..] {
        [] => return fault("no run of this name comes before it".to_owned()),
        [one] => one,
        ref several => match several.iter().find(|train| train.seed == seed) {
            Some(train) => train,
            None => return fault(format!("has no seed {seed}; name one of its seeds, as in '{}'", several[0].name)),
        },
    };
    if found.model != *model {
        return fault("has another model; a run goes on with the same sizes".to_owned());
    }
    if matches!(first, FirstWeights::Stored { lora: Some(_), .. }) {
        return fault(
            "adapters are for stored weights; store that run's model, and begin another recipe from it".to_owned(),
        );
    }
    Ok(FirstWeights::Run(found.name.clone()))
}

pub(super) fn source(
    found: Found<'_>,
    run: &RunSpec,
    teacher: &TeacherSpec,
    stages: &[Stage],
) -> Result<TeacherSource, RecipeError> {
    let user = format!("run '{}'", run.name);
    let fault = |found: String| Err(RecipeError::request(format!("{user}: {found}")));
    let given = [&teacher.run, &teacher.model, &teacher.cache, &teacher.server].into_iter().flatten().count();
    if given + usize::from(!teacher.members.is_empty()) != 1 {
        return fault(
            "teacher needs either run (live) or cache, or model (stored, live), or server, or members".to_owned(),
        );
    }
    if teacher.top_k.is_some() && teacher.server.is_none() {
        return fault("teacher.top_k is what a server is asked for; a cache has its own".to_owned());
    }
    let source = match &teacher.server {
        Some(name) => {
            let server = servers::server(found, name, &run.name)?;
            let Some(top_k) = teacher.top_k.filter(|&k| k > 0 && k <= found.vocab_size) else {
                return fault("teacher.top_k must say how many entries the server is asked for".to_owned());
            };
            TeacherSource::Server { server, kept: Kept::TopPK { top_p: 1.0, top_k } }
        }
        None if !teacher.members.is_empty() => several::several(found, run, &teacher.members, stages)?,
        None => one(found, run, (&teacher.run, &teacher.model, &teacher.cache), stages)?,
    };
    match teacher.micro_batch_size {
        Some(0) => return fault("teacher.micro_batch_size = 0: must be at least 1".to_owned()),
        Some(_) if source.live().is_empty() => {
            return fault("teacher.micro_batch_size is for live teachers".to_owned());
        }
        _ => {}
    }
    if let Some(selection) = &teacher.selection {
        if !matches!(&source, TeacherSource::Several(members) if several::share_documents(found, members)) {
            return fault("teacher.selection is for documents that several live members teach".to_owned());
        }
        if !(selection.lr > 0.0 && selection.lr <= 10.0) {
            return fault(format!("teacher.selection.lr = {}: must be above 0, at most 10", selection.lr));
        }
    }
    if teacher.offload && source.live().is_empty() {
        return fault("teacher.offload is for live teachers".to_owned());
    }
    if teacher.offload && teacher.online.is_some() {
        return fault("teacher.offload gives weights back that teacher.online lets learn; choose one".to_owned());
    }
    // Stored models have the recipe's tokenizer, token by token (`models.rs`), and rows for all of it.
    for teacher in source.models() {
        if teacher.config.n_positions() < found.spec.data.seq_len {
            let (name, positions) = (&teacher.name, teacher.config.n_positions());
            return fault(format!("its teacher '{name}' has {positions} positions, fewer than data.seq_len"));
        }
    }
    Ok(source)
}

/// A live teacher, or a cache.
pub(super) fn one(
    found: Found<'_>,
    user: &RunSpec,
    (run, stored, cache): (&Option<String>, &Option<String>, &Option<String>),
    stages: &[Stage],
) -> Result<TeacherSource, RecipeError> {
    Ok(match cache {
        Some(name) => {
            let cache = lookup(&found.spec.caches, "caches", name, &user.name)?;
            let teaches = teaches(found, stages, name, cache, &user.name)?;
            TeacherSource::Cache { cache: name.clone(), teacher: teaches, kept: kept(name, cache, found)? }
        }
        None => {
            let teacher = model(found, stages, (run.as_ref(), stored.as_ref()), &format!("run '{}'", user.name))?;
            if teacher.own.is_some() {
                let found = format!("its teacher '{}' has own_vocabulary: it teaches through a cache", teacher.name);
                return Err(RecipeError::request(format!("run '{}': {found}", user.name)));
            }
            TeacherSource::Live { teacher: Box::new(teacher) }
        }
    })
}

/// Adds the stages of stored teachers, once each: those that read the same tokens can be evaluated beside their students.
pub(super) fn stored_teachers(source: &TeacherSource, stages: &mut Vec<Stage>) {
    for teacher in source.models().into_iter().filter(|teacher| teacher.stored.is_some() && teacher.own.is_none()) {
        let is_there = stages.iter().any(|stage| matches!(stage, Stage::Stored(stored) if stored.name == teacher.name));
        if !is_there {
            stages.push(Stage::Stored(Box::new(teacher.clone())));
        }
    }
}

fn kept(name: &str, cache: &CacheSpec, found: Found<'_>) -> Result<Kept, RecipeError> {
    let fault = |found: &str| Err(RecipeError::request(format!("caches.{name}: {found}")));
    match (cache.top_p, cache.top_k, cache.samples) {
        (top_p, Some(top_k), None) => {
            let top_p = top_p.unwrap_or(1.0);
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
        _ => fault("give top_k and perhaps top_p, or samples"),
    }
}

/// Adds a training to the readers of its caches, whose stages come before their first readers.
pub(super) fn read_caches(train: &TrainPlan, vocab_size: usize, stages: &mut Vec<Stage>) {
    let reader = (train.config.data_seed, train.config.steps * train.config.batch_size as u64);
    for source in train.teacher.iter().flat_map(TeacherSource::all) {
        let TeacherSource::Cache { cache: name, teacher, kept } = source else { continue };
        let is_it = |stage: &&mut Stage| matches!(stage, Stage::Cache(cache) if cache.name == *name);
        if let Some(Stage::Cache(cache)) = stages.iter_mut().find(is_it) {
            cache.readers.push(reader);
            continue;
        }
        stages.push(Stage::Cache(Box::new(CachePlan {
            name: name.clone(),
            teacher: teacher.clone(),
            kept: kept.clone(),
            vocab_size,
            readers: vec![reader],
        })));
    }
}
