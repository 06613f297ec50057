//! The stage `mix`: sources become tokens, tokens become phases.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;
use tutelage_corpus::{
    Compression, Job, JobSettings, Manifest, Outcome, OutputRecord, Reason, ShardOf, StageFolder, is_stage,
};
use tutelage_run::{Event, FileError, Hash, Observer, StopFlag, create_folder, hash_file, write_atomic, write_json};
use tutelage_token::Tokenizer;

use crate::MixError;
use crate::draw::Draws;
use crate::report::{MixReport, PhaseReport, SourceReport};
use crate::settings::{HELDOUT, MixSettings, is_name};
use crate::shares::{Class, Stock, shares};
use crate::source::TokenSource;
use crate::tokenize::{self, Tokenize};
use crate::write::{Drawn, Place};

/// The tokenizer of a mixture, with its files.
pub struct MixTokenizer<'t> {
    /// Itself.
    pub tokenizer: &'t Tokenizer,
    /// Where it came from, as people call it.
    pub name: String,
    /// Hash of its `tokenizer.json`.
    pub hash: Hash,
}

/// Name of the stage.
const NAME: &str = "mix";

/// A source, before it is opened.
struct Input {
    name: String,
    paths: Vec<PathBuf>,
}

/// Mixes the job's inputs, each a source by the name of its file or folder, and the settings' own sources; or goes on with it, or
/// finds it done.
///
/// # Errors
/// When a setting does not fit, a source has too few tokens for what a phase asks of it, an intermediate is damaged, or the system refuses.
pub fn mix(
    job: &Job<'_>,
    settings: &MixSettings,
    tokenizer: Option<&MixTokenizer<'_>>,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, MixError> {
    let begun = Instant::now();
    if job.shard.is_part() {
        return Err(MixError::request(
            "--shard: a mixture is of all documents; shard the stage 'tokenize' before it, and merge its parts",
        ));
    }
    let inputs = inputs(job.inputs, settings)?;
    let names: Vec<&str> = inputs.iter().map(|input| &input.name[..]).collect();
    settings.check(&names)?;
    let paths: Vec<PathBuf> = inputs.iter().flat_map(|input| input.paths.iter().cloned()).collect();
    let mut all = json!({ "sources": names, "mix": settings });
    all["tokenizer_hash"] = json!(tokenizer.map(|tokenizer| &tokenizer.hash));
    let folder = StageFolder { stage: NAME, settings: all, inputs: &paths, out: job.out };
    if let Some(manifest) = folder.done(observer)? {
        return Ok(Outcome::Done(Box::new(manifest)));
    }
    let open = folder.begin()?;
    let work = open.work().to_path_buf();
    let Some(sources) = open_sources(job, &inputs, settings, tokenizer, &work, observer, stop)? else {
        return Ok(Outcome::Stopped);
    };
    let name = tokenizer.map_or("unknown", |tokenizer| &tokenizer.name[..]);
    let place = Place { out: job.out, work: &work, commit_every: job.commit_every, tokenizer: name };
    if let Err(error) = can_be_drawn(&sources, settings) {
        // The tokens stay, for the next attempt.
        open.forget()?;
        return Err(error);
    }
    let Some(report) = phases(&place, &sources, settings, observer, stop)? else { return Ok(Outcome::Stopped) };
    if let Some(tokenizer) = tokenizer {
        write_tokenizer(tokenizer, &job.out.join("tokenizer"))?;
    }
    write_json(&job.out.join("mix.json"), &report)?;
    let manifest = manifest(open.manifest(), &place, &sources, &report)?;
    let manifest = open.finish(manifest, observer)?;
    let tokens: u64 = report.phases.iter().map(|phase| phase.tokens).sum();
    let result = format!("{tokens} tokens in {} phases", report.phases.len());
    observer.event(&Event::StageFinished { stage: NAME, result: &result, seconds: begun.elapsed().as_secs_f64() });
    Ok(Outcome::Done(Box::new(manifest)))
}

fn inputs(paths: &[PathBuf], settings: &MixSettings) -> Result<Vec<Input>, MixError> {
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.split('.').next().unwrap_or_default().to_owned();
        is_name(&name).map_err(|found| {
            MixError::request(format!(
                "{}: {found}; name it with --set 'sources.NAME.inputs=[\"{}\"]'",
                path.display(),
                path.display()
            ))
        })?;
        if found.insert(name.clone(), vec![path.clone()]).is_some() {
            return Err(MixError::request(format!(
                "two inputs are called '{name}': name them with --set 'sources.NAME.inputs=[...]', or bring them together"
            )));
        }
    }
    for (name, source) in &settings.sources {
        is_name(name).map_err(|found| MixError::request(format!("sources: {found}")))?;
        let paths = found.entry(name.clone()).or_default();
        if !paths.is_empty() && !source.inputs.is_empty() {
            return Err(MixError::request(format!("sources.{name} has inputs, and an input has that name too")));
        }
        paths.extend(source.inputs.iter().cloned());
        if paths.is_empty() {
            return Err(MixError::request(format!("sources.{name} has no inputs, and no input has that name")));
        }
    }
    if found.is_empty() {
        return Err(MixError::request("no sources: name files or folders, or --set 'sources.NAME.inputs=[...]'"));
    }
    Ok(found.into_iter().map(|(name, paths)| Input { name, paths }).collect())
}

/// Opens the sources; those that are documents become tokens first.
fn open_sources(
    job: &Job<'_>,
    inputs: &[Input],
    settings: &MixSettings,
    tokenizer: Option<&MixTokenizer<'_>>,
    work: &Path,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Option<Vec<TokenSource>>, MixError> {
    let mut sources: Vec<TokenSource> = Vec::new();
    for Input { name, paths } in inputs {
        let n_tokens = paths.iter().filter(|path| is_stage(path, tokenize::NAME)).count();
        let source = if n_tokens == paths.len() {
            TokenSource::open(name, paths)?
        } else if n_tokens > 0 {
            return Err(MixError::request(format!(
                "the source '{name}' is documents and tokens: make it one or the other"
            )));
        } else {
            let Some(tokenizer) = tokenizer else {
                return Err(MixError::request(format!(
                    "the source '{name}' is documents: name a tokenizer, as in --set tokenizer=models/smollm2"
                )));
            };
            let folder = work.join(name);
            let stage = Tokenize::new(tokenizer.tokenizer, tokenizer.hash.clone(), settings.heldout_fraction);
            let job_settings =
                JobSettings { compression: Compression::None, keep_dropped: false, ..job.settings.clone() };
            let job = Job { inputs: paths, out: &folder, shard: ShardOf::ALL, settings: &job_settings, ..*job };
            if job.run(&stage, observer, stop)? == Outcome::Stopped {
                return Ok(None);
            }
            TokenSource::open(name, &[folder])?
        };
        let first = sources.first().unwrap_or(&source);
        if first.tokenizer != source.tokenizer || tokenizer.is_some_and(|tokenizer| tokenizer.hash != source.tokenizer)
        {
            let found = "has tokens of another tokenizer than the others; make them again with one";
            return Err(FileError::content(&paths[0], found).into());
        }
        #[allow(clippy::float_cmp, reason = "both are what was written")]
        if source.heldout_fraction != settings.heldout_fraction {
            return Err(MixError::request(format!(
                "the source '{name}' holds {} of its documents out, and heldout_fraction = {}: make them the same",
                source.heldout_fraction, settings.heldout_fraction
            )));
        }
        sources.push(source);
    }
    Ok(Some(sources))
}

fn names(sources: &[TokenSource]) -> Vec<&str> {
    sources.iter().map(|source| &source.name[..]).collect()
}

fn stocks<'s>(sources: &'s [TokenSource], settings: &MixSettings) -> Vec<Stock<'s>> {
    let stock = |source: &'s TokenSource| {
        let max_epochs = settings.sources.get(&source.name).and_then(|source| source.max_epochs);
        Stock::new(&source.name, &source.documents.lengths, max_epochs)
    };
    sources.iter().map(stock).collect()
}

/// Draws all phases before the first is written: what cannot be had is better found then. They are drawn again one by one, so
/// that no more than one phase is in memory.
fn can_be_drawn(sources: &[TokenSource], settings: &MixSettings) -> Result<(), MixError> {
    let mut stocks = stocks(sources, settings);
    for phase in &settings.all_phases(&names(sources)) {
        let shares = shares(phase, &stocks)?;
        Draws::new(&phase.name, &shares, &mut stocks, settings.seed);
    }
    Ok(())
}

fn phases(
    place: &Place<'_>,
    sources: &[TokenSource],
    settings: &MixSettings,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Option<MixReport>, MixError> {
    let mut stocks = stocks(sources, settings);
    let all = settings.all_phases(&names(sources));
    let mut reports = Vec::new();
    for phase in &all {
        let shares = shares(phase, &stocks)?;
        let mut draws = Draws::new(&phase.name, &shares, &mut stocks, settings.seed);
        let n = draws.len();
        let drawn = std::iter::from_fn(|| {
            draws.next(&stocks).map(|draw| {
                let source = &sources[draw.source];
                Drawn { source, documents: &source.documents, document: draw.document, class: draw.share.class }
            })
        });
        let report = place.write((&phase.name, phase.seq_len), n, drawn, observer, stop)?;
        let Some(mut report) = report else { return Ok(None) };
        for share in &shares {
            let source = &sources[share.source];
            if let Some(counts) = report.sources.get_mut(&source.name) {
                counts.asked += share.tokens;
                counts.epochs = counts.tokens as f64 / source.documents.tokens.max(1) as f64;
            }
        }
        reports.push(report);
    }
    let Some(heldout) = heldout(place, sources, observer, stop)? else { return Ok(None) };
    let of = |(source, stock): (&TokenSource, &Stock<'_>)| {
        let tokens = source.documents.tokens;
        let uses = stock.lengths.iter().zip(&stock.used);
        let unused = uses.clone().filter(|(_, times)| **times == 0);
        let seen: u64 = uses.map(|(&length, &times)| u64::from(length) * u64::from(times)).sum();
        let report = SourceReport {
            documents: stock.lengths.len() as u64,
            tokens,
            unused_documents: unused.clone().count() as u64,
            unused_tokens: unused.map(|(&length, _)| u64::from(length)).sum(),
            epochs: seen as f64 / tokens.max(1) as f64,
        };
        (source.name.clone(), report)
    };
    Ok(Some(MixReport {
        tokenizer: sources[0].tokenizer.clone(),
        vocab_size: sources[0].vocab_size,
        sources: sources.iter().zip(&stocks).map(of).collect(),
        phases: reports,
        heldout,
    }))
}

/// What is held out; nothing at all when it was asked to stop.
fn heldout(
    place: &Place<'_>,
    sources: &[TokenSource],
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Option<Option<PhaseReport>>, MixError> {
    let n: u64 = sources.iter().map(|source| source.heldout.len() as u64).sum();
    if n == 0 {
        return Ok(Some(None));
    }
    let drawn = sources.iter().flat_map(|source| {
        (0..source.heldout.len()).map(move |document| Drawn {
            source,
            documents: &source.heldout,
            document,
            class: Class::All,
        })
    });
    Ok(place.write((HELDOUT, 4096), n, drawn, observer, stop)?.map(Some))
}

fn write_tokenizer(tokenizer: &MixTokenizer<'_>, folder: &Path) -> Result<(), MixError> {
    create_folder(folder)?;
    write_atomic(&folder.join("tokenizer.json"), tokenizer.tokenizer.to_json()?.as_bytes())?;
    write_json(&folder.join("tokenizer_config.json"), &tokenizer.tokenizer.config_json())?;
    Ok(())
}

fn manifest(
    mut manifest: Manifest,
    place: &Place<'_>,
    sources: &[TokenSource],
    report: &MixReport,
) -> Result<Manifest, MixError> {
    for source in sources.iter().flat_map(|source| &source.manifests) {
        manifest.read += source.read;
        manifest.inputs.extend(source.inputs.iter().cloned());
        manifest.damaged.extend(source.damaged.iter().cloned());
        source.dropped.iter().for_each(|(name, n)| *manifest.dropped.entry(name.clone()).or_default() += n);
    }
    let unused: u64 = report.sources.values().map(|source| source.unused_documents).sum();
    if unused > 0 {
        manifest.dropped.insert(Reason::NotDrawn.to_string(), unused);
    }
    manifest.kept = manifest.read - manifest.dropped.values().sum::<u64>();
    for phase in report.phases.iter().chain(&report.heldout) {
        for (name, source) in &phase.sources {
            manifest.counts.insert(format!("tokens_{}_{name}", phase.name), source.tokens);
        }
        for path in place.files(&phase.name) {
            let bytes = std::fs::metadata(&path).map_err(FileError::io("read", &path))?.len();
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // Files of a shard other than its tokens hold no document.
            let documents = if file.ends_with(".bin") { phase.documents } else { 0 };
            manifest.outputs.push(OutputRecord { file, documents, bytes, hash: hash_file(&path)? });
        }
    }
    for (name, source) in report.sources.iter().filter(|(_, source)| source.unused_documents == source.documents) {
        manifest.warnings.push(format!("no phase has anything of the source '{name}' ({} tokens)", source.tokens));
    }
    Ok(manifest)
}
