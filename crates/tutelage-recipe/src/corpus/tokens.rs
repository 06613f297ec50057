//! The stages from documents to tokens, and tokens for other trainers.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tutelage_corpus::{Compression, Job, JobSettings, Outcome, documents, read_manifest};
use tutelage_data::{SHARD_ENDINGS, Shard, export};
use tutelage_mix::{MixSettings, MixTokenizer, Tokenize};
use tutelage_run::{FileError, Observer, StopFlag, create_folder, hash_bytes, link_or_copy};
use tutelage_token::Tokenizer;

use crate::RecipeError;
use crate::tokenizer::open_tokenizer;

/// Settings of the stage `tokenize`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TokenizeSettings {
    /// A model's folder, or a tokenizer's file.
    tokenizer: PathBuf,
    /// Share of documents that no mixture draws from.
    heldout_fraction: f64,
}

fn opened<T>(path: &Path, work: impl FnOnce(&Tokenizer, String) -> T) -> Result<T, RecipeError> {
    if path.as_os_str().is_empty() {
        return Err(RecipeError::request("no tokenizer: name one, as in --set tokenizer=models/smollm2"));
    }
    let tokenizer = open_tokenizer(path)?;
    let json = tokenizer.to_json()?;
    Ok(work(&tokenizer, json))
}

/// Settings that say how JSONL is written are of no use here.
fn is_plain(job: &JobSettings) -> Result<(), RecipeError> {
    match job.compression {
        Compression::None => Ok(()),
        _ => Err(RecipeError::request("compression: tokens are mapped into memory, and lie there as they are")),
    }
}

pub(super) fn tokenize(
    job: &Job<'_>,
    settings: &TokenizeSettings,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, RecipeError> {
    is_plain(job.settings)?;
    let fraction = settings.heldout_fraction;
    if !(0.0..=0.5).contains(&fraction) {
        return Err(RecipeError::request(format!("heldout_fraction = {fraction}: expected 0 to 0.5")));
    }
    opened(&settings.tokenizer, |tokenizer, json| {
        let stage = Tokenize::new(tokenizer, hash_bytes(json.as_bytes()), fraction);
        Ok(job.run(&stage, observer, stop)?)
    })?
}

pub(super) fn mix(
    job: &Job<'_>,
    settings: &MixSettings,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, RecipeError> {
    is_plain(job.settings)?;
    if job.settings.keep_dropped {
        return Err(RecipeError::request(
            "keep_dropped: what is not drawn lies in the sources; to keep what cannot be read aside, carry out 'tokenize' before",
        ));
    }
    if settings.tokenizer.as_os_str().is_empty() {
        return Ok(tutelage_mix::mix(job, settings, None, observer, stop)?);
    }
    let name = settings.tokenizer.display().to_string();
    opened(&settings.tokenizer, |tokenizer, json| {
        let tokenizer = MixTokenizer { tokenizer, name, hash: hash_bytes(json.as_bytes()) };
        Ok(tutelage_mix::mix(job, settings, Some(&tokenizer), observer, stop)?)
    })?
}

/// Whose files tokens become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// Megatron-LM's `.bin` and `.idx`.
    Megatron,
    /// nanotron's and datatrove's `.ds`, `.ds.index` and `.ds.metadata`.
    Nanotron,
    /// litdata's chunks, which litgpt reads.
    Litdata,
    /// llm.c's token files.
    Llmc,
}

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct Exported {
    /// Documents.
    pub documents: u64,
    /// Tokens.
    pub tokens: u64,
    /// Files of tokens.
    pub files: usize,
}

/// Writes a shard (`NAME` of `NAME.bin`) for another trainer. `size` is bytes of a chunk of litdata's, or tokens of a file of llm.c's.
///
/// # Errors
/// When the shard is damaged, the size does not fit, or the system refuses.
pub fn export_shard(
    shard: &Path,
    format: ExportFormat,
    out: &Path,
    size: Option<u64>,
) -> Result<Exported, RecipeError> {
    // 'x.bin', as a shell completes it.
    let mut endings = SHARD_ENDINGS.into_iter().chain(["ds"]);
    let is_file = shard.extension().is_some_and(|ending| endings.any(|known| ending == known));
    let stem = if is_file { shard.with_extension("") } else { shard.to_path_buf() };
    if !stem.with_extension("json").exists() {
        let found = "is no shard: expected NAME of NAME.bin and NAME.json, as 'data mix' leaves them; documents become --format parquet";
        return Err(FileError::content(shard, found).into());
    }
    let opened = Shard::open(&stem)?;
    let name = stem.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_sized = matches!(format, ExportFormat::Litdata | ExportFormat::Llmc);
    if size.is_some() && !is_sized {
        return Err(RecipeError::request("--size: files of this format are as long as the shard"));
    }
    if size == Some(0) {
        return Err(RecipeError::request("--size 0: expected 1 or more"));
    }
    create_folder(out)?;
    if out.canonicalize().ok() == stem.parent().and_then(|folder| folder.canonicalize().ok()) {
        let found = "is the shard's own folder; choose another --out";
        return Err(FileError::content(out, found).into());
    }
    let link = |ending: &str| link_or_copy(&stem.with_extension(ending), &out.join(&name).with_extension(ending));
    let files = match format {
        ExportFormat::Megatron => {
            link("bin")?;
            link("idx")?;
            1
        }
        ExportFormat::Nanotron => {
            export::nanotron(&stem, &opened, &out.join(&name), &tokenizer_of(&stem))?;
            1
        }
        ExportFormat::Litdata => export::litdata(&opened, out, size.unwrap_or(64 << 20))?,
        ExportFormat::Llmc => {
            let tokens = u32::try_from(size.unwrap_or(100_000_000)).ok().filter(|tokens| *tokens < 1 << 31);
            let tokens =
                tokens.ok_or_else(|| RecipeError::request("--size: a file of llm.c's has fewer than 2^31 tokens"))?;
            export::llmc(&opened, out, &name, tokens)?
        }
    };
    Ok(Exported { documents: opened.n_documents() as u64, tokens: opened.n_tokens(), files })
}

/// How a shard's tokenizer is called for people, where a mixture's manifest beside it says so.
fn tokenizer_of(stem: &Path) -> String {
    let manifest = stem.parent().and_then(|folder| read_manifest(folder).ok());
    let name = manifest.as_ref().and_then(|manifest| manifest.settings["mix"]["tokenizer"].as_str());
    name.filter(|name| !name.is_empty()).unwrap_or("unknown").to_owned()
}

/// Writes documents as Parquet, about `size` bytes of text a file, in a program that was built with that feature.
///
/// # Errors
/// When it was not, there is nothing to read, the folder holds something else, or the system refuses.
pub fn export_texts(
    inputs: &[PathBuf],
    out: &Path,
    text_field: &str,
    size: Option<u64>,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, RecipeError> {
    #[cfg(feature = "parquet")]
    {
        let settings = JobSettings { text_field: text_field.to_owned(), ..JobSettings::default() };
        let size = size.unwrap_or(1 << 30);
        Ok(tutelage_corpus::export_parquet(inputs, out, &settings, size, observer, stop)?)
    }
    #[cfg(not(feature = "parquet"))]
    {
        let _ = (inputs, out, text_field, size, observer, stop);
        Err(RecipeError::request(
            "Parquet is written by a program that was built with its feature: cargo build --release --features parquet",
        ))
    }
}

/// The first texts of some documents, up to so many bytes.
///
/// # Errors
/// When there is nothing to read, or the system refuses.
pub fn read_texts(inputs: &[PathBuf], max_bytes: u64) -> Result<Vec<String>, RecipeError> {
    let (mut texts, mut bytes) = (Vec::new(), 0);
    for found in documents(inputs, &JobSettings::default())? {
        let Ok(record) = found?.record else { continue };
        bytes += record.text.len() as u64;
        if bytes > max_bytes && !texts.is_empty() {
            break;
        }
        texts.push(record.text);
    }
    Ok(texts)
}
