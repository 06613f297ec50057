//! Byte-level BPE: entries in a printable alphabet of bytes, and merges.

use serde_json::{Value, json};

use super::{BY_USERS, CONTROL, ORDINARY, UNUSED, Vocabulary, VocabularyKind, added_tokens};
use crate::{TokenError, Tokenizer, pre};

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

impl Tokenizer {
    /// The vocabulary of a byte-level BPE, as GGUF's metadata has it.
    ///
    /// # Errors
    /// When it is another kind of tokenizer, or divides text in a way that llama.cpp has no name for.
    pub fn to_vocabulary(&self) -> Result<Vocabulary, TokenError> {
        let fault = |fault: &str| TokenError::Format(fault.to_owned());
        let json: Value = serde_json::from_str(&self.to_json()?).map_err(|e| TokenError::Format(e.to_string()))?;
        let model = &json["model"];
        let pre = pre::name_of(&json["pre_tokenizer"]);
        let is_plain = model["type"] == "BPE" && model["byte_fallback"] != json!(true) && json["normalizer"].is_null();
        if !is_plain {
            return Err(fault("only byte-level BPE without a normalizer is written to GGUF files"));
        }
        let pre = pre.ok_or_else(|| fault("divides text in a way that llama.cpp has no name for"))?;
        let mut vocabulary = Vocabulary {
            tokens: vec![String::new(); self.vocab_size()],
            token_types: vec![UNUSED; self.vocab_size()],
            kind: VocabularyKind::Bytes { pre: pre.to_owned(), merges: merges(model) },
            bos: self.bos(),
            eos: self.eos(),
            adds_bos: self.adds_bos(),
        };
        let mut set = |token: &str, id: Option<u64>, kind: i32| {
            let id = id.and_then(|id| usize::try_from(id).ok()).filter(|&id| id < vocabulary.tokens.len());
            let id = id.ok_or_else(|| fault("has ids that leave gaps"))?;
            token.clone_into(&mut vocabulary.tokens[id]);
            vocabulary.token_types[id] = kind;
            Ok::<_, TokenError>(())
        };
        for (token, id) in model["vocab"].as_object().into_iter().flatten() {
            set(token, id.as_u64(), ORDINARY)?;
        }
        for added in json["added_tokens"].as_array().into_iter().flatten() {
            let kind = if added["special"] == json!(true) { CONTROL } else { BY_USERS };
            set(added["content"].as_str().unwrap_or_default(), added["id"].as_u64(), kind)?;
        }
        Ok(vocabulary)
    }
}

fn merges(model: &Value) -> Vec<String> {
    let merge = |merge: &Value| match merge {
        Value::Array(pair) => pair.iter().map(|part| part.as_str().unwrap_or_default()).collect::<Vec<_>>().join(" "),
        merge => merge.as_str().unwrap_or_default().to_owned(),
    };
    model["merges"].as_array().into_iter().flatten().map(merge).collect()
}
