//! A model in one form to a model in another: folders of all families, and GGUF files.

use std::path::{Path, PathBuf};

use tutelage_generate::{read_chat_template, read_tokenizer};
use tutelage_model::{DecoderConfig, Family, GgufFile, GgufType, ModelError, SaveOptions, StoredModel, StoredType};
use tutelage_run::{AtomicFolder, FileError, Hash, hash_bytes, read_bytes, write_atomic};
use tutelage_token::Tokenizer;

use crate::RecipeError;
use crate::gguf::{self, is_gguf};

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

/// Files of a tokenizer that are carried over as they are.
const TOKENIZER_FILES: [&str; 6] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
];

/// A model to be converted.
struct Source {
    model: StoredModel,
    tokenizer: Option<Tokenizer>,
    chat_template: Option<String>,
    /// Files of the tokenizer, by name.
    files: Vec<(String, Vec<u8>)>,
}

/// Writes a model in another form: another family that computes the same, other types, other files. Weights are read
/// and written one at a time.
///
/// # Errors
/// When the input is not whole or not supported, the output computes something else, or is there already.
pub fn convert(request: &ConvertRequest) -> Result<Converted, RecipeError> {
    let ConvertRequest { input, out, .. } = request;
    if out.exists() && (is_gguf(out) || !is_empty(out)?) {
        return Err(RecipeError::request(format!("{}: is there already; choose another path", out.display())));
    }
    if input.is_file() && !is_gguf(input) {
        let found = "is neither a model's folder nor a GGUF file (NAME.gguf)";
        return Err(FileError::content(input, found).into());
    }
    let mut source = if is_gguf(input) { from_gguf(input)? } else { from_folder(input)? };
    if let Some(adapter) = &request.adapter {
        source.model = source.model.merged(adapter)?;
    }
    let config = match &request.family {
        None => source.model.config().clone(),
        Some(name) => source.model.config().converted(family(name)?).map_err(|error| refused(input, &error))?,
    };
    let dtype = if is_gguf(out) { to_gguf(&source, request)? } else { to_folder(&source, &config, request)? };
    let vocab_size = source.tokenizer.as_ref().map(Tokenizer::vocab_size);
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

fn from_gguf(path: &Path) -> Result<Source, RecipeError> {
    let file = GgufFile::open(path)?;
    let tokenizer = gguf::tokenizer(&file)?;
    let chat_template = gguf::chat_template(&file);
    let mut config = tokenizer.config_json();
    if let Some(template) = &chat_template {
        config["chat_template"] = template.as_str().into();
    }
    let pretty = serde_json::to_string_pretty(&config).unwrap_or_default();
    let files = [("tokenizer.json", tokenizer.to_json()?), ("tokenizer_config.json", pretty + "\n")];
    let files = files.map(|(name, text)| (name.to_owned(), text.into_bytes())).to_vec();
    Ok(Source { model: StoredModel::from_gguf(file)?, tokenizer: Some(tokenizer), chat_template, files })
}

fn from_folder(folder: &Path) -> Result<Source, RecipeError> {
    let model = StoredModel::open(folder)?;
    let has = |name: &str| folder.join(name).exists();
    let has_tokenizer = has("tokenizer.json") || has("tokenizer.model");
    let tokenizer = has_tokenizer.then(|| read_tokenizer(folder)).transpose()?;
    let mut files = Vec::new();
    for name in TOKENIZER_FILES {
        if folder.join(name).exists() {
            files.push((name.to_owned(), read_bytes(&folder.join(name))?));
        }
    }
    let chat_template = read_chat_template(folder)?;
    Ok(Source { model, tokenizer, chat_template, files })
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
    for (name, bytes) in &source.files {
        write_atomic(&new.inside().join(name), bytes)?;
    }
    let tokenizer = source.files.iter().find(|(name, _)| name == "tokenizer.json");
    let hash: Hash = hash_bytes(tokenizer.map_or(&[], |(_, bytes)| bytes));
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
    let Some(tokenizer) = &source.tokenizer else {
        let found = "has no tokenizer (tokenizer.json or tokenizer.model), which a GGUF file holds too";
        return Err(FileError::content(&request.input, found).into());
    };
    let name = request.out.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let rows = source.model.config().vocab_size;
    let metadata = gguf::metadata(&name, tokenizer, source.chat_template.as_deref(), rows)?;
    source.model.write_gguf(&request.out, kind, metadata).map_err(|error| match error {
        error @ ModelError::Config { .. } => refused(&request.input, &error),
        error => error.into(),
    })?;
    Ok(kind.name())
}
