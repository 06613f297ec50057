//! Names to things, with every number checked.

use std::collections::{BTreeMap, BTreeSet};

use tutelage_tensor::Precision;
use tutelage_train::TrainConfig;

use super::corpus::{Corpus, scan};
use super::models::{self, ModelPlan, TokenizerPlan};
use super::objective::{distillation, objective};
use super::online::online;
use super::teachers::{first_weights, read_caches, source, stored_teachers};
use super::{Plan, Stage, TeacherSource, TrainPlan};
use crate::spec::{CacheSpec, PrecisionSpec, RecipeSpec, RunSpec, TeacherSpec, TrainingSpec};
use crate::{Recipe, RecipeError};

/// Beyond it the plan's counts could overflow.
const MAX_TOKENS: f64 = 1e16;

/// Checks a recipe and lays out its stages.
///
/// # Errors
/// Names the first setting that cannot be.
pub fn plan(recipe: Recipe) -> Result<Plan, RecipeError> {
    let spec = &recipe.spec;
    check_name("name", &spec.name)?;
    check_data(spec)?;
    let precision = match spec.precision {
        PrecisionSpec::Bf16 => Precision::Bf16,
        PrecisionSpec::F32 => Precision::F32,
    };
    let tokenizer = TokenizerPlan::resolve(spec)?;
    let models = models::resolve(spec, &tokenizer)?;
    let corpus = scan(spec, &tokenizer)?;
    let mut stages: Vec<Stage> = Vec::new();
    let mut names = BTreeSet::new();
    for run in &spec.runs {
        check_name("a run's name", &run.name)?;
        if !names.insert(run.name.clone()) {
            return Err(RecipeError::request(format!("two runs are named '{}'", run.name)));
        }
        let found = Found { spec, models: &models, vocab_size: tokenizer.vocab_size(), corpus: &corpus };
        for train in train_plans(found, run, &stages)? {
            if let Some(source) = &train.teacher {
                stored_teachers(source, &mut stages);
            }
            read_caches(&train, found.vocab_size, &mut stages);
            stages.push(Stage::Train(Box::new(train)));
        }
    }
    unused(spec)?;
    check_claims(spec, &corpus)?;
    let taken = |name: &&String| stages.iter().any(|stage| matches!(stage, Stage::Stored(s) if s.name == **name));
    if let Some(name) = names.iter().find(taken) {
        let found = "is the name of a run, and of a stored model that teaches; rename one of them";
        return Err(RecipeError::request(format!("'{name}' {found}")));
    }
    Ok(Plan { precision, tokenizer, corpus, stages, recipe })
}

fn check_name(what: &str, name: &str) -> Result<(), RecipeError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        let found = format!("{what} is '{name}': it becomes a folder, so use letters, digits, '-', '_' and '.'");
        return Err(RecipeError::request(found));
    }
    Ok(())
}

fn check_data(spec: &RecipeSpec) -> Result<(), RecipeError> {
    let data = &spec.data;
    match &data.mix {
        None if data.documents.is_empty() => return Err(RecipeError::request("data.documents names no file")),
        None if data.phase.is_some() => {
            return Err(RecipeError::request("data.phase is one of data.mix, which is not given"));
        }
        None => {}
        Some(_) if !data.documents.is_empty() => {
            return Err(RecipeError::request("data: give documents or mix, not both"));
        }
        Some(_) if data.route_field.is_some() => {
            return Err(RecipeError::request("data.route_field: a mixture's sources are its documents' routes"));
        }
        Some(mix) if spec.tokenizer.from.is_none() => {
            let found =
                format!("a mixture is tokens already: set tokenizer.from = \"{}\"", mix.join("tokenizer").display());
            return Err(RecipeError::request(found));
        }
        Some(_) => {}
    }
    if !(data.heldout_fraction > 0.0 && data.heldout_fraction < 1.0) {
        let found = format!("data.heldout_fraction = {}: must be between 0 and 1", data.heldout_fraction);
        return Err(RecipeError::request(found));
    }
    if data.seq_len < 2 || data.seq_len > 1 << 24 {
        return Err(RecipeError::request(format!("data.seq_len = {}: must be at least 2", data.seq_len)));
    }
    if spec.runs.is_empty() {
        return Err(RecipeError::request("the recipe trains nothing: it has no [[runs]]"));
    }
    let samples = &spec.samples;
    if !(samples.temperature >= 0.0 && samples.temperature.is_finite() && samples.top_p > 0.0 && samples.top_p <= 1.0) {
        return Err(RecipeError::request("samples: temperature must be 0 or more, top_p above 0 and at most 1"));
    }
    Ok(())
}

/// The section `[section.name]` that a run uses.
pub(super) fn lookup<'a, T>(
    map: &'a BTreeMap<String, T>,
    section: &str,
    name: &str,
    user: &str,
) -> Result<&'a T, RecipeError> {
    map.get(name).ok_or_else(|| {
        let known: Vec<&str> = map.keys().map(String::as_str).collect();
        RecipeError::request(format!("run '{user}': there is no [{section}.{name}]; there is: {}", known.join(", ")))
    })
}

/// What is resolved before the runs.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) spec: &'a RecipeSpec,
    pub(super) models: &'a BTreeMap<String, ModelPlan>,
    pub(super) vocab_size: usize,
    pub(super) corpus: &'a Corpus,
}

fn train_plans(found: Found<'_>, run: &RunSpec, stages: &[Stage]) -> Result<Vec<TrainPlan>, RecipeError> {
    let spec = found.spec;
    let model = lookup(found.models, "models", &run.model, &run.name)?;
    if model.own.is_some() {
        let found = format!("[models.{}] has own_vocabulary: it teaches, and does not learn", run.model);
        return Err(RecipeError::request(format!("run '{}': {found}", run.name)));
    }
    let training = lookup(&spec.training, "training", &run.training, &run.name)?;
    let seeds = if run.seeds.is_empty() { vec![spec.seed] } else { run.seeds.clone() };
    if seeds.iter().collect::<BTreeSet<_>>().len() != seeds.len() {
        return Err(RecipeError::request(format!("run '{}': a seed is given twice", run.name)));
    }
    let tokens = training.steps as f64 * training.batch_size as f64 * spec.data.seq_len as f64;
    if tokens > MAX_TOKENS {
        let found = format!("run '{}': {tokens:.1e} tokens are more than any training has", run.name);
        return Err(RecipeError::request(found));
    }
    check_routes(found, run)?;
    let teacher = run.teacher.as_ref().map(|teacher| source(found, run, teacher, stages)).transpose()?;
    let distillation = match (&run.teacher, &teacher) {
        (Some(spec), Some(source)) => {
            Some(distillation(run, spec, (&model.config, source), (found.spec.data.seq_len, training.steps))?)
        }
        _ => None,
    };
    // Of several, as if each taught every token: what share is whose is known when it has been counted.
    let live = teacher.as_ref().map(TeacherSource::live).unwrap_or_default();
    let teacher_flops = live.iter().map(|teacher| teacher.config.forward_flops(spec.data.seq_len)).sum();
    let one = seeds.len() == 1;
    seeds
        .into_iter()
        .map(|seed| {
            let mut config = train_config(&run.training, training, seed)?;
            config.distillation = distillation.clone();
            config.teacher_flops = teacher_flops;
            Ok(TrainPlan {
                name: if one { run.name.clone() } else { format!("{}-seed-{seed}", run.name) },
                group: run.name.clone(),
                training: run.training.clone(),
                seed,
                model: model.config.clone(),
                first: first_weights(run, seed, (&model.config, &model.first), stages)?,
                routes: run.routes.clone(),
                recompute: training.recompute,
                eval_sequences: training.eval_sequences,
                teacher: teacher.clone(),
                teacher_batch: run.teacher.as_ref().and_then(|t| t.micro_batch_size).unwrap_or(config.micro_batch_size),
                selection: run.teacher.as_ref().and_then(|teacher| teacher.selection.clone()),
                offload: run.teacher.as_ref().is_some_and(|teacher| teacher.offload),
                online: match &teacher {
                    Some(source) => online(run, source, &config)?,
                    None => None,
                },
                config,
                objective: objective(run, teacher.as_ref().zip(distillation.as_ref())),
            })
        })
        .collect()
}

/// A run may learn from some documents alone, by their route.
fn check_routes(found: Found<'_>, run: &RunSpec) -> Result<(), RecipeError> {
    let fault = |what: String| Err(RecipeError::request(format!("run '{}': routes: {what}", run.name)));
    if run.routes.is_empty() {
        return Ok(());
    }
    if found.spec.data.route_field.is_none() {
        return fault("are values of a field of the documents; set data.route_field".to_owned());
    }
    run.routes.iter().try_for_each(|route| found.corpus.check_route(route)).or_else(fault)?;
    if let Some(cache) = run.teacher.iter().flat_map(TeacherSpec::caches).next() {
        return fault(format!(
            "cache '{cache}' is of whole sequences, and some of their documents are left out; choose a live teacher"
        ));
    }
    Ok(())
}

fn train_config(name: &str, spec: &TrainingSpec, seed: u64) -> Result<TrainConfig, RecipeError> {
    let fault = |what: &str, value: String, rule: &str| {
        Err(RecipeError::request(format!("training.{name}: {what} = {value}: must be {rule}")))
    };
    let micro = spec.micro_batch_size.unwrap_or(spec.batch_size);
    for (what, value) in [
        ("steps", spec.steps),
        ("batch_size", spec.batch_size as u64),
        ("micro_batch_size", micro as u64),
        ("log_every", spec.log_every),
        ("eval_sequences", spec.eval_sequences as u64),
        ("checkpoint_every", spec.checkpoint_every),
        ("keep_checkpoints", spec.keep_checkpoints as u64),
    ] {
        if value == 0 {
            return fault(what, value.to_string(), "at least 1");
        }
    }
    for (what, value, most) in [
        ("beta1", spec.beta1, 1.0),
        ("beta2", spec.beta2, 1.0),
        ("eps", spec.eps, 1.0),
        ("weight_decay", spec.weight_decay, f64::MAX),
        ("grad_clip", spec.grad_clip, f64::MAX),
    ] {
        if !(value >= 0.0 && value <= most) || (most == 1.0 && value == 1.0) {
            return fault(what, value.to_string(), if most == 1.0 { "at least 0 and below 1" } else { "0 or more" });
        }
    }
    let mut snapshots = Vec::new();
    for &share in &spec.snapshots {
        let step = (share * spec.steps as f64).round() as u64;
        if !(share > 0.0 && share < 1.0) || step == 0 || step >= spec.steps {
            return fault("snapshots", share.to_string(), "shares of the steps, above 0 and below 1");
        }
        snapshots.push(step);
    }
    snapshots.sort_unstable();
    snapshots.dedup();
    if micro > spec.batch_size {
        return fault("micro_batch_size", micro.to_string(), "at most batch_size");
    }
    Ok(TrainConfig {
        steps: spec.steps,
        batch_size: spec.batch_size,
        micro_batch_size: micro,
        lr: spec.lr.resolve(&format!("training.{name}.lr"), spec.steps, (0.0, 1.0))?,
        beta1: spec.beta1,
        beta2: spec.beta2,
        eps: spec.eps,
        weight_decay: spec.weight_decay,
        grad_clip: spec.grad_clip,
        data_seed: seed,
        log_every: spec.log_every,
        eval_every: spec.eval_every,
        checkpoint_every: spec.checkpoint_every,
        keep_checkpoints: spec.keep_checkpoints,
        snapshots,
        distillation: None,
        teacher_flops: 0,
    })
}

/// Claims compare runs that there are, of the same seeds.
fn check_claims(spec: &RecipeSpec, corpus: &Corpus) -> Result<(), RecipeError> {
    for claim in &spec.claims {
        for row in &claim.rows {
            let find = |name: &String| {
                let run = spec.runs.iter().find(|run| run.name == *name);
                run.ok_or_else(|| RecipeError::request(format!("claim '{}': there is no run '{name}'", claim.title)))
            };
            let (run, against) = (find(&row.run)?, find(&row.against)?);
            if let Some(route) = row.route.as_ref().filter(|route| !corpus.routes.contains(*route)) {
                let found = format!("no document has the route '{route}'");
                return Err(RecipeError::request(format!("claim '{}': {found}", claim.title)));
            }
            if run.seeds != against.seeds || run.seeds.len() < 2 {
                let found = "need the same seeds, two or more: one seed says nothing of noise";
                let rows = format!("'{}' and '{}'", row.run, row.against);
                return Err(RecipeError::request(format!("claim '{}': runs {rows} {found}", claim.title)));
            }
        }
    }
    Ok(())
}

/// A section that nothing uses is a mistake, not a setting.
fn unused(spec: &RecipeSpec) -> Result<(), RecipeError> {
    let used = |name: &String, of: &dyn Fn(&RunSpec) -> bool, section: &str| match spec.runs.iter().any(of) {
        true => Ok(()),
        false => Err(RecipeError::request(format!("[{section}.{name}] is used by no run; remove it, or use it"))),
    };
    let of_caches = |run: &RunSpec, of: fn(&CacheSpec) -> Option<&String>, name: &String| {
        let caches = run.teacher.iter().flat_map(TeacherSpec::caches);
        caches.filter_map(|cache| spec.caches.get(cache)).any(|cache| of(cache) == Some(name))
    };
    for name in spec.models.keys() {
        let teaches = |run: &RunSpec| {
            run.teacher.iter().flat_map(TeacherSpec::models).any(|model| model == name)
                || of_caches(run, |cache| cache.model.as_ref(), name)
        };
        used(name, &|run| run.model == *name || teaches(run), "models")?;
    }
    for name in spec.training.keys() {
        used(name, &|run| run.training == *name, "training")?;
    }
    for name in spec.servers.keys() {
        let asks = |run: &RunSpec| {
            let live = run.teacher.as_ref().and_then(|t| t.server.as_ref()) == Some(name);
            live || of_caches(run, |cache| cache.server.as_ref(), name)
        };
        used(name, &asks, "servers")?;
    }
    for name in spec.caches.keys() {
        used(name, &|run| run.teacher.iter().flat_map(TeacherSpec::caches).any(|cache| cache == name), "caches")?;
    }
    let routes = |run: &RunSpec| {
        let mut members = run.teacher.iter().flat_map(|teacher| &teacher.members);
        !run.routes.is_empty() || members.any(|member| !member.routes.is_empty())
    };
    if let Some(field) = &spec.data.route_field
        && !spec.runs.iter().any(routes)
    {
        return Err(RecipeError::request(format!(
            "data.route_field = '{field}' is used by no run's routes, and by no teacher.members.routes"
        )));
    }
    Ok(())
}
