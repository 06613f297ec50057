//! A stored model, folder or GGUF file, and what stands beside its weights.

use std::path::Path;

use tutelage_generate::{read_chat_template, read_tokenizer};
use tutelage_model::GgufFile;
use tutelage_run::{FileError, Hash, Hasher, hash_file, read_bytes};
use tutelage_token::Tokenizer;

use crate::{RecipeError, gguf, open_tokenizer};

/// Files of a tokenizer that are carried over as they are.
const FILES: [&str; 6] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
];

/// Hash of everything that the weights depend on.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn hash(path: &Path) -> Result<Hash, RecipeError> {
    if GgufFile::is_named(path) {
        return Ok(hash_file(path)?);
    }
    let entries = std::fs::read_dir(path).map_err(FileError::io("read", path))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_part = |name: &String| name == "config.json" || name.ends_with(".safetensors");
    let mut names: Vec<String> = names.filter(is_part).collect();
    names.sort();
    let mut hasher = Hasher::default();
    for name in names {
        hasher.part(name.as_bytes()).part(hash_file(&path.join(&name))?.to_string().as_bytes());
    }
    Ok(hasher.finish())
}

/// What stands beside a model's weights.
#[derive(Debug, Clone)]
pub(crate) struct Beside {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) chat_template: Option<String>,
    /// Its files, by name.
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

impl Beside {
    /// Reads the tokenizer of a model's folder or GGUF file, if it has one.
    ///
    /// # Errors
    /// When a file is damaged or not supported.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, RecipeError> {
        if GgufFile::is_named(path) {
            let file = GgufFile::open(path)?;
            let (tokenizer, chat_template) = (gguf::tokenizer(&file)?, gguf::chat_template(&file));
            return Self::made(tokenizer, chat_template).map(Some);
        }
        if !["tokenizer.json", "tokenizer.model"].iter().any(|name| path.join(name).exists()) {
            return Ok(None);
        }
        let mut files = Vec::new();
        for name in FILES {
            if path.join(name).exists() {
                files.push((name.to_owned(), read_bytes(&path.join(name))?));
            }
        }
        Ok(Some(Self { tokenizer: read_tokenizer(path)?, chat_template: read_chat_template(path)?, files }))
    }

    /// The same of what [`open_tokenizer`] takes, always with a `tokenizer.json`.
    ///
    /// # Errors
    /// When there is no tokenizer, or it is damaged or not supported.
    pub(crate) fn tokenizer(path: &Path) -> Result<Self, RecipeError> {
        let folder = if path.is_file() && !GgufFile::is_named(path) { None } else { Self::read(path)? };
        match folder {
            Some(beside) if beside.file("tokenizer.json").is_some() => Ok(beside),
            Some(beside) => Self::made(beside.tokenizer, beside.chat_template),
            None => Self::made(open_tokenizer(path)?, None),
        }
    }

    /// Files as we write them.
    fn made(tokenizer: Tokenizer, chat_template: Option<String>) -> Result<Self, RecipeError> {
        let mut config = tokenizer.config_json();
        if let Some(template) = &chat_template {
            config["chat_template"] = template.as_str().into();
        }
        let pretty = serde_json::to_string_pretty(&config).unwrap_or_default();
        let files = [("tokenizer.json", tokenizer.to_json()?), ("tokenizer_config.json", pretty + "\n")];
        let files = files.map(|(name, text)| (name.to_owned(), text.into_bytes())).to_vec();
        Ok(Self { tokenizer, chat_template, files })
    }

    /// A file of this name.
    pub(crate) fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.iter().find(|(found, _)| found == name).map(|(_, bytes)| &bytes[..])
    }
}
