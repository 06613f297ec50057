//! GGUF files: a model with its tokenizer in one file.

use tutelage_model::{GgufFile, Value};
use tutelage_token::{Tokenizer, Vocabulary, VocabularyKind};

use crate::RecipeError;

/// ggml's type of a token that stands for nothing.
const UNUSED: i32 = 5;

/// The chat template of the metadata.
pub(crate) fn chat_template(file: &GgufFile) -> Option<String> {
    match file.value("tokenizer.chat_template") {
        Some(Value::Text(template)) => Some(template.clone()),
        _ => None,
    }
}

/// Metadata of a tokenizer for a model of `rows` rows; rows beyond the entries are unused tokens.
///
/// # Errors
/// When llama.cpp has no such tokenizer.
pub(crate) fn metadata(
    name: &str,
    tokenizer: &Tokenizer,
    chat_template: Option<&str>,
    rows: usize,
) -> Result<Vec<(String, Value)>, RecipeError> {
    let fault = |error| RecipeError::request(format!("the tokenizer cannot be written to a GGUF file: {error}"));
    let mut vocabulary = tokenizer.to_vocabulary().map_err(fault)?;
    for row in vocabulary.tokens.len()..rows {
        vocabulary.tokens.push(format!("[PAD{row}]"));
        vocabulary.token_types.push(UNUSED);
    }
    let text = |text: &str| Value::Text(text.to_owned());
    let texts = |all: &[String]| Value::Array(all.iter().map(|x| text(x)).collect());
    let whole = |n: u32| Value::Integer(n.into());
    let types = vocabulary.token_types.iter().map(|&kind| Value::Integer(kind.into()));
    let mut out = vec![
        ("general.name", text(name)),
        ("tokenizer.ggml.tokens", texts(&vocabulary.tokens)),
        ("tokenizer.ggml.token_type", Value::Array(types.collect())),
        ("tokenizer.ggml.bos_token_id", whole(vocabulary.bos)),
        ("tokenizer.ggml.eos_token_id", whole(vocabulary.eos)),
        ("tokenizer.ggml.add_bos_token", Value::Bool(vocabulary.adds_bos)),
    ];
    let reals = |all: &[f32]| Value::Array(all.iter().map(|&x| Value::Real(x.into())).collect());
    match &vocabulary.kind {
        VocabularyKind::Bytes { pre, merges } => {
            out.push(("tokenizer.ggml.model", text("gpt2")));
            out.push(("tokenizer.ggml.pre", text(pre)));
            out.push(("tokenizer.ggml.merges", texts(merges)));
        }
        VocabularyKind::Pieces { scores, adds_prefix } => {
            out.push(("tokenizer.ggml.model", text("llama")));
            out.push(("tokenizer.ggml.pre", text("default")));
            out.push(("tokenizer.ggml.scores", reals(scores)));
            out.push(("tokenizer.ggml.add_space_prefix", Value::Bool(*adds_prefix)));
        }
        VocabularyKind::Gemma { .. } | VocabularyKind::Words => {
            return Err(RecipeError::request("tokenizers of this kind are not written to GGUF files".to_owned()));
        }
    }
    out.extend(chat_template.map(|template| ("tokenizer.chat_template", text(template))));
    Ok(out.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// The tokenizer of the metadata.
///
/// # Errors
/// When it is of a kind that is not supported, or its parts do not fit together.
pub(crate) fn tokenizer(file: &GgufFile) -> Result<Tokenizer, RecipeError> {
    let fault = |key: &str, fault: &str| RecipeError::from(file.unsupported(key, fault));
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
    let flag = |key: &str, default: bool| file.value(key).map_or(default, |value| *value == Value::Bool(true));
    let types = match file.value("tokenizer.ggml.token_type") {
        None => Some(Vec::new()),
        Some(Value::Array(values)) => values.iter().map(number).collect(),
        Some(_) => None,
    };
    let merges = || texts("tokenizer.ggml.merges");
    let (kind, bos, eos) = match file.value("tokenizer.ggml.model") {
        Some(Value::Text(model)) if model == "gpt2" => match file.value("tokenizer.ggml.pre") {
            Some(Value::Text(pre)) => (VocabularyKind::Bytes { pre: pre.clone(), merges: merges()? }, "bos", "eos"),
            _ => return Err(fault("tokenizer.ggml.pre", "expected the name of how text is divided")),
        },
        Some(Value::Text(model)) if model == "llama" => {
            let scores = match file.value("tokenizer.ggml.scores") {
                Some(Value::Array(values)) => values
                    .iter()
                    .map(|value| if let Value::Real(x) = value { Some(*x as f32) } else { None })
                    .collect::<Option<Vec<_>>>(),
                _ => None,
            };
            let scores = scores.ok_or_else(|| fault("tokenizer.ggml.scores", "expected numbers"))?;
            let adds_prefix = flag("tokenizer.ggml.add_space_prefix", true);
            (VocabularyKind::Pieces { scores, adds_prefix }, "bos", "eos")
        }
        Some(Value::Text(model)) if model == "gemma4" => (VocabularyKind::Gemma { merges: merges()? }, "bos", "eos"),
        Some(Value::Text(model)) if model == "bert" => (VocabularyKind::Words, "cls", "seperator"),
        _ => {
            let known =
                "only \"gpt2\" (byte-level BPE), \"llama\" (SentencePiece BPE), \"gemma4\" and \"bert\" are supported";
            return Err(fault("tokenizer.ggml.model", known));
        }
    };
    let adds_bos = flag("tokenizer.ggml.add_bos_token", matches!(kind, VocabularyKind::Pieces { .. }));
    let vocabulary = Vocabulary {
        kind,
        tokens: texts("tokenizer.ggml.tokens")?,
        token_types: types.ok_or_else(|| fault("tokenizer.ggml.token_type", "expected whole numbers"))?,
        bos: id(&format!("tokenizer.ggml.{bos}_token_id"))?,
        eos: id(&format!("tokenizer.ggml.{eos}_token_id"))?,
        adds_bos,
    };
    Tokenizer::from_vocabulary(&vocabulary)
        .map_err(|error| RecipeError::request(format!("{}: tokenizer: {error}", file.path().display())))
}
