//! WordPiece vocabularies, as GGUF files of BERT models have them: the beginning of a word is marked, where
//! `tokenizer.json` marks what goes on.

use serde_json::{Value, json};

use super::{CONTROL, UNKNOWN, added_token};
use crate::TokenError;

const BEGINS: char = '\u{2581}';

/// The `tokenizer.json` of a lower-case BERT vocabulary.
pub(super) fn to_json(tokens: &[String], kinds: &[i32]) -> Result<Value, TokenError> {
    let mut vocab = serde_json::Map::new();
    let mut added = Vec::new();
    let mut unknown = None;
    for (id, (token, kind)) in (0u32..).zip(tokens.iter().zip(kinds)) {
        let is_special = [UNKNOWN, CONTROL].contains(kind);
        let entry = match token.strip_prefix(BEGINS) {
            Some(word) if !is_special => word.to_owned(),
            None if !is_special => format!("##{token}"),
            _ => token.clone(),
        };
        if is_special {
            added.push(added_token(id, &entry, true));
        }
        if *kind == UNKNOWN || token == "[UNK]" {
            unknown = Some(entry.clone());
        }
        vocab.insert(entry, id.into());
    }
    let unknown = unknown.ok_or_else(|| TokenError::Format("has no token for what is unknown".to_owned()))?;
    if vocab.len() != tokens.len() {
        return Err(TokenError::Format("two tokens are the same".to_owned()));
    }
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
            "lowercase": true,
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": null,
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": {
            "type": "WordPiece", "unk_token": unknown, "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab,
        },
    }))
}
