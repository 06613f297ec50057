//! A tokenizer out of whatever file holds it.

use std::path::Path;

use tutelage_generate::read_tokenizer;
use tutelage_model::GgufFile;
use tutelage_run::{FileError, read_bytes, read_json};
use tutelage_token::Tokenizer;

use crate::RecipeError;
use crate::gguf::{self, is_gguf};

/// Reads a model's folder (`tokenizer.json`, or SentencePiece's `tokenizer.model`), one of these files, or a GGUF file.
///
/// # Errors
/// When nothing of these is there, or it is damaged or not supported.
pub fn open_tokenizer(path: &Path) -> Result<Tokenizer, RecipeError> {
    if path.is_dir() {
        return Ok(read_tokenizer(path)?);
    }
    if is_gguf(path) {
        return gguf::tokenizer(&GgufFile::open(path)?);
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => Ok(read_tokenizer(path.parent().unwrap_or(Path::new("")))?),
        Some("model") => sentencepiece(path),
        _ => {
            let found = "is no tokenizer: expected a model's folder, tokenizer.json, tokenizer.model or a GGUF file";
            Err(FileError::content(path, found).into())
        }
    }
}

fn sentencepiece(path: &Path) -> Result<Tokenizer, RecipeError> {
    let config = path.with_file_name("tokenizer_config.json");
    let config: Option<serde_json::Value> = config.exists().then(|| read_json(&config)).transpose()?;
    Tokenizer::from_sentencepiece(&read_bytes(path)?, config.as_ref())
        .map_err(|error| FileError::content(path, error.to_string()).into())
}
