//! GGUF files: a model with its tokenizer in one file, used as it is or turned into a folder.

use std::path::{Path, PathBuf};

use tutelage_generate::Generator;
use tutelage_model::{Decoder, GgufFile, Value};
use tutelage_run::{create_folder, hash_bytes, write_atomic, write_json};
use tutelage_tensor::{Params, Precision};
use tutelage_token::{Tokenizer, Vocabulary};

use crate::{EngineChoice, RecipeError};

/// Whether a path is a GGUF file by its name.
pub(crate) fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// The model of a GGUF file, for generation.
pub(crate) fn generator(path: &Path, engine: &EngineChoice) -> Result<Generator, RecipeError> {
    let file = GgufFile::open(path)?;
    let tokenizer = tokenizer(&file)?;
    let model = Decoder::from_gguf(&file, Params::frozen(&engine.device()?, Precision::Bf16))?;
    Ok(Generator::new(model, tokenizer)?)
}

/// What to convert.
#[derive(Debug, Clone)]
pub struct ConvertRequest {
    /// A GGUF file.
    pub input: PathBuf,
    /// The folder to write.
    pub out: PathBuf,
    /// What to compute with.
    pub engine: EngineChoice,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// Its family.
    pub family: &'static str,
    /// Weights.
    pub n_weights: u64,
    /// Entries of its tokenizer.
    pub vocab_size: usize,
}

/// Turns a GGUF file into a Hugging Face folder: weights dequantised to f32, `config.json`, `tokenizer.json`,
/// `tokenizer_config.json` with the chat template.
///
/// # Errors
/// When the file is not whole or not supported, or the folder holds a model already.
pub fn convert(request: &ConvertRequest) -> Result<Converted, RecipeError> {
    let ConvertRequest { input, out, engine } = request;
    if !is_gguf(input) {
        let message = format!("{}: only GGUF files (NAME.gguf) are converted", input.display());
        return Err(RecipeError::request(message));
    }
    if out.join("config.json").exists() {
        let message = format!("{}: holds a model already; choose another folder", out.display());
        return Err(RecipeError::request(message));
    }
    let file = GgufFile::open(input)?;
    let tokenizer = tokenizer(&file)?;
    let model = Decoder::from_gguf(&file, Params::frozen(&engine.device()?, Precision::F32))?;
    create_folder(out)?;
    let json = tokenizer.to_json()?;
    write_atomic(&out.join("tokenizer.json"), json.as_bytes())?;
    let mut config = tokenizer.config_json();
    if let Some(Value::Text(template)) = file.value("tokenizer.chat_template") {
        config["chat_template"] = template.as_str().into();
    }
    write_json(&out.join("tokenizer_config.json"), &config)?;
    model.save(out, &hash_bytes(json.as_bytes()))?;
    let c = model.config();
    Ok(Converted { family: c.family.title(), n_weights: c.n_weights(), vocab_size: tokenizer.vocab_size() })
}

/// The tokenizer of the metadata.
fn tokenizer(file: &GgufFile) -> Result<Tokenizer, RecipeError> {
    let fault = |key: &str, fault: &str| RecipeError::from(file.unsupported(key, fault));
    match file.value("tokenizer.ggml.model") {
        Some(Value::Text(model)) if model == "gpt2" => {}
        _ => return Err(fault("tokenizer.ggml.model", "only \"gpt2\", byte-level BPE, is supported")),
    }
    let texts = |key: &str| match file.value(key) {
        Some(Value::Array(values)) => values
            .iter()
            .map(|value| match value {
                Value::Text(text) => Ok(text.clone()),
                _ => Err(fault(key, "expected texts")),
            })
            .collect(),
        _ => Err(fault(key, "expected texts")),
    };
    let number = |value: &Value| match value {
        Value::Integer(n) => i32::try_from(*n).ok(),
        _ => None,
    };
    let id = |key: &str| {
        let id = file.value(key).and_then(number).and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| fault(key, "expected a token id"))
    };
    let types = match file.value("tokenizer.ggml.token_type") {
        None => Some(Vec::new()),
        Some(Value::Array(values)) => values.iter().map(number).collect(),
        Some(_) => None,
    };
    let vocabulary = Vocabulary {
        pre: match file.value("tokenizer.ggml.pre") {
            Some(Value::Text(pre)) => pre.clone(),
            _ => return Err(fault("tokenizer.ggml.pre", "expected the name of how text is divided")),
        },
        tokens: texts("tokenizer.ggml.tokens")?,
        token_types: types.ok_or_else(|| fault("tokenizer.ggml.token_type", "expected whole numbers"))?,
        merges: texts("tokenizer.ggml.merges")?,
        bos: id("tokenizer.ggml.bos_token_id")?,
        eos: id("tokenizer.ggml.eos_token_id")?,
        adds_bos: file.value("tokenizer.ggml.add_bos_token") == Some(&Value::Bool(true)),
    };
    Tokenizer::from_vocabulary(&vocabulary)
        .map_err(|error| RecipeError::request(format!("{}: tokenizer: {error}", file.path().display())))
}
