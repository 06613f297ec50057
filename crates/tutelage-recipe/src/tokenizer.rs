//! A tokenizer out of whatever file holds it, and InternLM2's construction of one.

use std::path::{Path, PathBuf};

use tutelage_generate::read_tokenizer;
use tutelage_model::GgufFile;
use tutelage_run::{AtomicFolder, FileError, read_bytes, read_json, write_atomic, write_json};
use tutelage_token::{BuildSizes, Tokenizer};

use crate::RecipeError;
use crate::documents::Documents;
use crate::gguf;

/// Reads a model's folder (`tokenizer.json`, or SentencePiece's `tokenizer.model`), one of these files, a GGUF file, or
/// OpenAI's `.tiktoken` ranks (text is divided as in o200k where the name says so, else as in cl100k).
///
/// # Errors
/// When nothing of these is there, or it is damaged or not supported.
pub fn open_tokenizer(path: &Path) -> Result<Tokenizer, RecipeError> {
    if path.is_dir() {
        return Ok(read_tokenizer(path)?);
    }
    if GgufFile::is_named(path) {
        return gguf::tokenizer(&GgufFile::open(path)?);
    }
    let wrong = |error: tutelage_token::TokenError| RecipeError::from(FileError::content(path, error.to_string()));
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => Ok(read_tokenizer(path.parent().unwrap_or(Path::new("")))?),
        Some("model") => {
            let config = path.with_file_name("tokenizer_config.json");
            let config: Option<serde_json::Value> = config.exists().then(|| read_json(&config)).transpose()?;
            Tokenizer::from_sentencepiece(&read_bytes(path)?, config.as_ref()).map_err(wrong)
        }
        Some("tiktoken") => {
            let is_o200k = path.file_name().is_some_and(|name| name.to_string_lossy().contains("o200k"));
            let (pre, end) = if is_o200k { ("gpt-4o", 199_999) } else { ("llama-bpe", 100_257) };
            let special = [("<|endoftext|>", end)];
            let borders = ("<|endoftext|>", "<|endoftext|>");
            Tokenizer::from_tiktoken(&read_bytes(path)?, pre, &special, borders).map_err(wrong)
        }
        _ => {
            let found = "is no tokenizer: expected a model's folder, tokenizer.json, tokenizer.model, a .tiktoken or a GGUF file";
            Err(FileError::content(path, found).into())
        }
    }
}

/// What to build a tokenizer of.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The vocabulary that is kept in part.
    pub base: PathBuf,
    /// Documents that its tokens are counted on.
    pub count: Vec<PathBuf>,
    /// Documents that tokens are added for.
    pub extend: Vec<PathBuf>,
    /// Other documents that both are measured on.
    pub measure: Vec<PathBuf>,
    /// The field of JSONL documents that holds the text.
    pub text_field: String,
    /// How many tokens of each kind.
    pub sizes: BuildSizes,
    /// The folder to write.
    pub out: PathBuf,
}

/// Bytes a token on one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Compression {
    /// The file.
    pub path: PathBuf,
    /// Its bytes of text.
    pub bytes: u64,
    /// With the base.
    pub before: f64,
    /// With what was built.
    pub after: f64,
}

fn texts(path: &Path, field: &str) -> Result<Vec<String>, RecipeError> {
    let inputs = [path.to_path_buf()];
    let documents = Documents { inputs: &inputs, text_field: field, route_field: None };
    documents.read()?.map(|document| Ok(document?.text)).collect()
}

fn n_tokens(tokenizer: &Tokenizer, texts: &[String]) -> Result<usize, RecipeError> {
    let mut n = 0;
    for text in texts {
        n += tokenizer.encode(text).map_err(|error| RecipeError::request(error.to_string()))?.len();
    }
    Ok(n)
}

/// Builds a tokenizer as InternLM2's was (see [`Tokenizer::build`]); returns its entries, and what it gains on each file.
///
/// # Errors
/// When a file cannot be read, the base is no byte-level BPE, or the texts do not support the sizes.
pub fn build_tokenizer(request: &BuildRequest) -> Result<(usize, Vec<Compression>), RecipeError> {
    let BuildRequest { out, text_field, .. } = request;
    if out.exists() {
        return Err(RecipeError::request(format!("{}: is there already; choose another folder", out.display())));
    }
    let base = open_tokenizer(&request.base)?;
    // All of them first: a file that is missing should not be noticed at the end.
    let read = |paths: &[PathBuf]| paths.iter().map(|path| texts(path, text_field)).collect::<Result<Vec<_>, _>>();
    let (count, extend, measure) = (read(&request.count)?, read(&request.extend)?, read(&request.measure)?);
    let [counted, added] = [&count, &extend].map(|files| files.iter().flatten().map(String::as_str));
    let built = Tokenizer::build(&base, counted, added, request.sizes)
        .map_err(|error| RecipeError::request(format!("{}: {error}", request.base.display())))?;
    let mut gains = Vec::new();
    let paths = request.count.iter().chain(&request.extend).chain(&request.measure);
    for (path, texts) in paths.zip(count.iter().chain(&extend).chain(&measure)) {
        let bytes: usize = texts.iter().map(String::len).sum();
        let per = |n: usize| bytes as f64 / n.max(1) as f64;
        let (before, after) = (per(n_tokens(&base, texts)?), per(n_tokens(&built, texts)?));
        gains.push(Compression { path: path.clone(), bytes: bytes as u64, before, after });
    }
    let new = AtomicFolder::create(out)?;
    let json = built.to_json().map_err(|error| RecipeError::request(error.to_string()))?;
    write_atomic(&new.inside().join("tokenizer.json"), json.as_bytes())?;
    write_json(&new.inside().join("tokenizer_config.json"), &built.built_config_json())?;
    new.commit()?;
    Ok((built.vocab_size(), gains))
}
