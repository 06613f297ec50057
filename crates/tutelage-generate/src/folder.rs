//! What stands beside a model's weights.

use std::path::Path;

use serde_json::Value;
use tutelage_run::{FileError, read_bytes, read_json, read_text};
use tutelage_token::{TokenError, Tokenizer};

use crate::GenerateError;

fn config(folder: &Path) -> Result<Option<Value>, FileError> {
    let path = folder.join("tokenizer_config.json");
    path.exists().then(|| read_json(&path)).transpose()
}

/// Reads `tokenizer.json` of a model's folder, or SentencePiece's `tokenizer.model` where that alone is there, with
/// `tokenizer_config.json` if there is one.
///
/// # Errors
/// When a file is missing or damaged.
pub fn read_tokenizer(folder: &Path) -> Result<Tokenizer, GenerateError> {
    let (json, model) = (folder.join("tokenizer.json"), folder.join("tokenizer.model"));
    let is_sentencepiece = !json.exists() && model.exists();
    let path = if is_sentencepiece { model } else { json };
    let (bytes, config) = (read_bytes(&path)?, config(folder)?);
    let tokenizer = match is_sentencepiece {
        true => Tokenizer::from_sentencepiece(&bytes, config.as_ref()),
        false => Tokenizer::from_files(&bytes, config.as_ref()),
    };
    Ok(tokenizer.map_err(|error| match error {
        TokenError::Format(found) => TokenError::Format(format!("{}: {found}", path.display())),
        other => other,
    })?)
}

/// Reads the chat template of a model's folder: `chat_template.jinja`, or `chat_template` of `tokenizer_config.json` (of
/// several the one called "default").
///
/// # Errors
/// When a file is damaged.
pub fn read_chat_template(folder: &Path) -> Result<Option<String>, GenerateError> {
    let path = folder.join("chat_template.jinja");
    if path.exists() {
        return Ok(Some(read_text(&path)?));
    }
    let Some(config) = config(folder)? else { return Ok(None) };
    Ok(match &config["chat_template"] {
        Value::String(template) => Some(template.clone()),
        Value::Array(several) => {
            let default = several.iter().find(|template| template["name"] == "default");
            default.and_then(|template| template["template"].as_str()).map(str::to_owned)
        }
        _ => None,
    })
}
