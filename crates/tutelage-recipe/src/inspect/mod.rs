//! What a file or folder is, and whether it is whole.

mod model;

use std::path::{Path, PathBuf};

use tutelage_data::Shard;
use tutelage_model::LoraConfig;
use tutelage_run::records::{Manifest, MetricsRecord, StageRecord, Summary, ThroughputRecord};
use tutelage_run::{FileError, read_json, read_lines};
use tutelage_teacher::cache::CacheReader;
use tutelage_train::checkpoint;

use crate::RecipeError;
use crate::load::load;

/// What was found at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub path: PathBuf,
    /// What it is.
    pub kind: &'static str,
    /// Facts, or what is wrong with it.
    pub details: Result<String, String>,
    /// The facts of a model, by name.
    pub facts: Option<serde_json::Value>,
}

/// What memory is worked out for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// Sequences at a time.
    pub batch: usize,
    /// Tokens of each.
    pub seq_len: usize,
}

/// Looks at a path; folders that hold several things of ours give several findings.
///
/// # Errors
/// When nothing of ours is there.
pub fn inspect(path: &Path, workload: Workload) -> Result<Vec<Finding>, RecipeError> {
    if !path.exists() {
        return Err(FileError::io("inspect", path)(std::io::ErrorKind::NotFound.into()).into());
    }
    let findings = if path.is_dir() { folder(path, workload)? } else { file(path, workload).into_iter().collect() };
    if findings.is_empty() {
        let found = "nothing here is a file of tutelage: expected a run, model, checkpoint, cache, shard, \
                     tokenizer, recipe, metrics or summary";
        return Err(FileError::content(path, found).into());
    }
    Ok(findings)
}

fn finding(path: &Path, kind: &'static str, details: Result<String, RecipeError>) -> Finding {
    Finding { path: path.to_path_buf(), kind, details: details.map_err(|error| error.to_string()), facts: None }
}

/// What a folder is as a whole, if it is one thing.
fn whole(path: &Path, workload: Workload) -> Option<Finding> {
    let has = |name: &str| path.join(name).exists();
    if has("state.json") {
        Some(finding(path, "checkpoint", checkpoint_facts(path)))
    } else if has("config.json") {
        Some(model::finding(path, workload))
    } else if has("adapter_config.json") {
        Some(finding(path, "adapters", adapter_facts(path)))
    } else if has("cache.json") {
        Some(finding(path, "teacher cache", cache_facts(path)))
    } else {
        None
    }
}

fn folder(path: &Path, workload: Workload) -> Result<Vec<Finding>, RecipeError> {
    if let Some(found) = whole(path, workload) {
        return Ok(vec![found]);
    }
    let mut entries: Vec<PathBuf> = std::fs::read_dir(path)
        .map_err(FileError::io("read", path))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|p| !p.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.')))
        .collect();
    entries.sort();
    let mut out = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            out.extend(folder(&entry, workload)?);
        } else if entry.extension().is_none_or(|e| e != "idx" && e != "bin") || !entry.with_extension("json").exists() {
            out.extend(file(&entry, workload));
        }
    }
    Ok(out)
}

fn file(path: &Path, workload: Workload) -> Option<Finding> {
    let name = path.file_name()?.to_str()?;
    let ending = path.extension()?.to_str()?;
    let (kind, details) = match (name, ending) {
        ("tokenizer.json" | "tokenizer.model", _) => ("tokenizer", tokenizer_facts(path)),
        ("stage.json", _) => ("stage", json(path, |r: StageRecord| format!("{} done in {:.1} s", r.stage, r.seconds))),
        ("manifest.json", _) => {
            ("run manifest", json(path, |m: Manifest| format!("{}, {} stages done", m.recipe, m.stages.len())))
        }
        ("summary.json", _) => ("summary", json(path, |s: Summary| format!("{} models", s.models.len()))),
        ("metrics.jsonl", _) => {
            let last = |lines: Vec<MetricsRecord>| {
                lines.last().map_or("no lines".to_owned(), |l| format!("{} lines to step {}", lines.len(), l.step))
            };
            ("metrics", read_lines(path).map(last).map_err(RecipeError::from))
        }
        ("throughput.jsonl", _) => {
            let last = |lines: Vec<ThroughputRecord>| format!("{} lines", lines.len());
            ("throughput", read_lines(path).map(last).map_err(RecipeError::from))
        }
        (_, "gguf") => return Some(model::finding(path, workload)),
        (_, "toml") => ("recipe", load(path, &[]).map(|r| format!("'{}', {} runs", r.spec.name, r.spec.runs.len()))),
        (_, "bin" | "idx") => ("token shard", shard_facts(&path.with_extension(""))),
        (_, "json") if path.with_extension("idx").exists() => ("token shard", shard_facts(&path.with_extension(""))),
        (_, "safetensors" | "ttc") => {
            // What it belongs to; arrays by themselves are nothing of ours.
            let found = path.parent().and_then(|parent| whole(parent, workload));
            return found.map(|found| Finding { path: path.to_path_buf(), ..found });
        }
        _ => return None,
    };
    Some(finding(path, kind, details))
}

fn json<T: serde::de::DeserializeOwned>(path: &Path, facts: impl FnOnce(T) -> String) -> Result<String, RecipeError> {
    Ok(facts(read_json(path)?))
}

fn shard_facts(stem: &Path) -> Result<String, RecipeError> {
    let shard = Shard::open(stem)?;
    let m = shard.manifest();
    Ok(format!("{} documents, {} tokens, vocabulary of {}; hashes agree", m.documents, m.tokens, m.vocab_size))
}

fn tokenizer_facts(path: &Path) -> Result<String, RecipeError> {
    let tokenizer = crate::open_tokenizer(path)?;
    Ok(format!("{} entries", tokenizer.vocab_size()))
}

fn checkpoint_facts(path: &Path) -> Result<String, RecipeError> {
    let state = checkpoint::verify(path)?;
    Ok(format!("step {}, {} tokens; hashes agree", state.step, state.tokens))
}

fn adapter_facts(path: &Path) -> Result<String, RecipeError> {
    let (config, n_weights) = LoraConfig::inspect(path)?;
    let (rank, targets) = (config.rank, config.targets.join(", "));
    let base = config.base.as_ref().map_or(String::new(), |base| format!(" of {base}"));
    Ok(format!(
        "LoRA of rank {rank}, scale {}, {n_weights} weights: {targets}{base}; every weight read",
        config.scale()
    ))
}

fn cache_facts(path: &Path) -> Result<String, RecipeError> {
    let reader = CacheReader::open(path, None)?;
    reader.verify(&mut |_| {})?;
    let (header, stats) = (reader.header(), reader.stats());
    let tokens = stats.n_tokens.max(1) as f64;
    Ok(format!(
        "{}, {} tokens, {:.1} bytes a token; teacher {}; checksums agree",
        header.kept,
        stats.n_tokens,
        stats.n_bytes as f64 / tokens,
        header.teacher
    ))
}
