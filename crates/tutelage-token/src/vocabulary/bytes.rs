//! Byte-level BPE: entries in a printable alphabet of bytes, and merges.

use serde_json::{Value, json};

use super::{CONTROL, VocabularyKind, added_tokens};
use crate::{TokenError, pre};

/// The `tokenizer.json`.
pub(super) fn to_json(pre: &str, tokens: &[String], kinds: &[i32], merges: &[String]) -> Result<Value, TokenError> {
    let entries: serde_json::Map<String, Value> = tokens.iter().cloned().zip((0..).map(Value::from)).collect();
    if entries.len() != tokens.len() {
        return Err(TokenError::Format("two tokens are the same".to_owned()));
    }
    let added = added_tokens(tokens, kinds, &[CONTROL]);
    byte_level_bpe(pre, added, entries, json!(merges), pre::ignores_merges(pre))
}

/// The `tokenizer.json` of a byte-level BPE that divides text as `pre` says.
pub(crate) fn byte_level_bpe(
    pre: &str,
    added: Vec<Value>,
    vocab: serde_json::Map<String, Value>,
    merges: Value,
    ignore_merges: bool,
) -> Result<Value, TokenError> {
    let Some(pre_tokenizer) = pre::pre_tokenizer(pre) else {
        let known = pre::names().join(", ");
        return Err(TokenError::Format(format!("text is divided by rules called '{pre}'; supported are {known}")));
    };
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": null,
        "decoder": pre::byte_level(true),
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": ignore_merges, "vocab": vocab, "merges": merges,
        },
    }))
}

/// How text becomes entries, of a `tokenizer.json` without a normalizer.
pub(super) fn kind(json: &Value) -> Result<VocabularyKind, TokenError> {
    let fault = |fault: &str| Err(TokenError::Format(fault.to_owned()));
    if !json["normalizer"].is_null() {
        return fault("byte-level BPE with a normalizer is not written to GGUF files");
    }
    match pre::name_of(&json["pre_tokenizer"]) {
        Some(pre) => Ok(VocabularyKind::Bytes { pre: pre.to_owned(), merges: merges(&json["model"]) }),
        None => fault("divides text in a way that llama.cpp has no name for"),
    }
}

/// Merges of a BPE, best first: two parts, divided by a space.
pub(super) fn merges(model: &Value) -> Vec<String> {
    let merge = |merge: &Value| match merge {
        Value::Array(pair) => pair.iter().map(|part| part.as_str().unwrap_or_default()).collect::<Vec<_>>().join(" "),
        merge => merge.as_str().unwrap_or_default().to_owned(),
    };
    model["merges"].as_array().into_iter().flatten().map(merge).collect()
}
