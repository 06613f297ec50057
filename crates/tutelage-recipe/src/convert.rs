//! A model in one form to a model in another: folders of all families, and GGUF files.

use std::path::{Path, PathBuf};

use tutelage_model::{DecoderConfig, Family, GgufFile, GgufType, ModelError, SaveOptions, StoredModel, StoredType};
use tutelage_run::{AtomicFolder, FileError, Hash, hash_bytes, write_atomic};

use crate::RecipeError;
use crate::gguf;
use crate::stored::Beside;

/// What to convert.
#[derive(Debug, Clone)]
pub struct ConvertRequest {
    /// A model's folder, or a GGUF file.
    pub input: PathBuf,
    /// The folder to write, or the GGUF file if it is called so.
    pub out: PathBuf,
    /// PEFT's folder of LoRA adapters that are merged into the weights.
    pub adapter: Option<PathBuf>,
    /// The family to write, by its `model_type`; that of the input where `None`.
    pub family: Option<String>,
    /// The type of weights; f32 for folders and f16 for GGUF files where `None`.
    pub dtype: Option<String>,
    /// The most bytes of a file of weights.
    pub max_shard_bytes: Option<u64>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// Its family.
    pub family: &'static str,
    /// Type of its weights.
    pub dtype: &'static str,
    /// Weights.
    pub n_weights: u64,
    /// Entries of its tokenizer, if there is one.
    pub vocab_size: Option<usize>,
}

/// A model to be converted, and its tokenizer.
struct Source {
    model: StoredModel,
    beside: Option<Beside>,
}

/// Writes a model in another form: another family that computes the same, other types, other files. Weights are read
/// and written one at a time.
///
/// # Errors
/// When the input is not whole or not supported, the output computes something else, or is there already.
pub fn convert(request: &ConvertRequest) -> Result<Converted, RecipeError> {
    let ConvertRequest { input, out, .. } = request;
    if out.exists() && (GgufFile::is_named(out) || !is_empty(out)?) {
        return Err(RecipeError::request(format!("{}: is there already; choose another path", out.display())));
    }
    let mut model = StoredModel::open(input)?;
    if let Some(adapter) = &request.adapter {
        model = model.merged(adapter)?;
    }
    let source = Source { model, beside: Beside::read(input)? };
    let config = match &request.family {
        None => source.model.config().clone(),
        Some(name) => source.model.config().converted(family(name)?).map_err(|error| refused(input, &error))?,
    };
    if let Some(beside) = &source.beside {
        let (entries, rows) = (beside.tokenizer.vocab_size(), config.vocab_size);
        if entries > rows {
            let found =
                format!("its tokenizer has {entries} entries, the model {rows} rows; they are of different models");
            return Err(FileError::content(input, found).into());
        }
    }
    let dtype =
        if GgufFile::is_named(out) { to_gguf(&source, request)? } else { to_folder(&source, &config, request)? };
    let vocab_size = source.beside.as_ref().map(|beside| beside.tokenizer.vocab_size());
    Ok(Converted { family: config.family.title(), dtype, n_weights: config.n_weights(), vocab_size })
}

fn refused(input: &Path, error: &ModelError) -> RecipeError {
    RecipeError::request(format!("{}: cannot be converted: {error}", input.display()))
}

fn is_empty(folder: &Path) -> Result<bool, RecipeError> {
    if !folder.is_dir() {
        return Ok(false);
    }
    let mut entries = std::fs::read_dir(folder).map_err(FileError::io("read", folder))?;
    Ok(entries.next().is_none())
}

fn family(name: &str) -> Result<Family, RecipeError> {
    let known = || Family::ALL.map(Family::model_type).join(", ");
    let family = Family::ALL.into_iter().find(|family| family.model_type() == name);
    family.ok_or_else(|| RecipeError::request(format!("--family {name}: choose one of {}", known())))
}

fn to_folder(source: &Source, config: &DecoderConfig, request: &ConvertRequest) -> Result<&'static str, RecipeError> {
    let dtype = match &request.dtype {
        None => StoredType::F32,
        Some(name) => StoredType::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = StoredType::ALL.map(StoredType::name).join(", ");
            RecipeError::request(format!("--dtype {name}: a folder's weights are one of {known}"))
        })?,
    };
    let mut options = SaveOptions { dtype, ..SaveOptions::default() };
    if let Some(bytes) = request.max_shard_bytes {
        options.max_shard_bytes = bytes;
    }
    let new = AtomicFolder::create(&request.out)?;
    for (name, bytes) in source.beside.iter().flat_map(|beside| &beside.files) {
        write_atomic(&new.inside().join(name), bytes)?;
    }
    let tokenizer = source.beside.as_ref().and_then(|beside| beside.file("tokenizer.json"));
    let hash: Hash = hash_bytes(tokenizer.unwrap_or(&[]));
    source.model.save_as(config, new.inside(), &hash, options)?;
    new.commit()?;
    Ok(dtype.name())
}

fn to_gguf(source: &Source, request: &ConvertRequest) -> Result<&'static str, RecipeError> {
    let kind = match &request.dtype {
        None => GgufType::F16,
        Some(name) => GgufType::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = GgufType::ALL.map(GgufType::name).join(", ");
            RecipeError::request(format!("--dtype {name}: a GGUF file's weights are one of {known}"))
        })?,
    };
    for (flag, given) in
        [("--family", request.family.is_some()), ("--max-shard-size", request.max_shard_bytes.is_some())]
    {
        if given {
            return Err(RecipeError::request(format!("{flag} is for folders; a GGUF file has llama.cpp's own names")));
        }
    }
    let Some(Beside { tokenizer, chat_template, .. }) = &source.beside else {
        let found = "has no tokenizer (tokenizer.json or tokenizer.model), which a GGUF file holds too";
        return Err(FileError::content(&request.input, found).into());
    };
    let name = request.out.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let rows = source.model.config().vocab_size;
    let metadata = gguf::metadata(&name, tokenizer, chat_template.as_deref(), rows)?;
    source.model.write_gguf(&request.out, kind, metadata).map_err(|error| match error {
        error @ ModelError::Config { .. } => refused(&request.input, &error),
        error => error.into(),
    })?;
    Ok(kind.name())
}
