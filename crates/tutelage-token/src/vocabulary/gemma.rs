//! SentencePiece's entries with merges, as GGUF files of Gemma models have them: spaces are marked, lines of nothing but
//! ends of lines stay together, and bytes stand in for characters that are no entry.

use serde_json::{Value, json};

use super::{BYTE, CONTROL, UNKNOWN, added_tokens};
use crate::TokenError;

const SPACE: &str = "\u{2581}";

/// The `tokenizer.json`.
pub(super) fn to_json(tokens: &[String], kinds: &[i32], merges: &[String]) -> Result<Value, TokenError> {
    let entries: serde_json::Map<String, Value> = tokens.iter().cloned().zip((0..).map(Value::from)).collect();
    if entries.len() != tokens.len() {
        return Err(TokenError::Format("two tokens are the same".to_owned()));
    }
    let unknown = kinds.iter().position(|&kind| kind == UNKNOWN).map(|at| &tokens[at]);
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(tokens, kinds, &[CONTROL, UNKNOWN]),
        "normalizer": { "type": "Replace", "pattern": { "String": " " }, "content": SPACE },
        "pre_tokenizer": {
            "type": "Split", "pattern": { "Regex": "[^\\n]+|\\n+" }, "behavior": "Isolated", "invert": false,
        },
        "post_processor": null,
        "decoder": { "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": SPACE }, "content": " " },
            { "type": "ByteFallback" },
            { "type": "Fuse" },
        ] },
        "model": {
            "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": kinds.contains(&BYTE),
            "ignore_merges": false, "vocab": entries, "merges": merges,
        },
    }))
}
