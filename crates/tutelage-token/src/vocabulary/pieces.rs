//! SentencePiece vocabularies: pieces with scores.
//!
//! The tokenizer is the `tokenizers` library's. BPE needs merges where SentencePiece has scores alone: every way of
//! putting a piece together out of two others is one, in the order of the scores of what they make.
//!
//! Departures: a piece with a NUL in it is found, where sentencepiece falls back to bytes (its index ends strings there).
//! Unigram: of two ways with the same score the library may take the other; a character with several combining marks is
//! replaced mark by mark; what is around the spelling of a control piece may be divided otherwise.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::bytes::merges;
use super::{BYTE, CONTROL, UNKNOWN, VocabularyKind, added_tokens};
use crate::TokenError;

/// Stands for a space.
const SPACE: &str = "\u{2581}";

/// How a text becomes pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Search {
    /// Pairs are merged, the best score first.
    Bpe,
    /// The most likely sequence.
    Unigram,
}

/// A vocabulary.
pub(crate) struct Pieces<'a> {
    pub(crate) pieces: &'a [String],
    pub(crate) scores: &'a [f32],
    /// SentencePiece's type of each (ggml's numbers are the same).
    pub(crate) kinds: &'a [i32],
    pub(crate) search: Search,
    /// Whether a space goes before a text.
    pub(crate) adds_prefix: bool,
    /// Whether spaces at both ends are removed, and several become one.
    pub(crate) trims: bool,
    /// SentencePiece's compiled table of characters that are replaced; none if empty.
    pub(crate) charsmap: &'a [u8],
}

impl Pieces<'_> {
    /// The `tokenizer.json`.
    pub(crate) fn to_json(&self) -> Result<Value, TokenError> {
        let fault = |fault: &str| Err(TokenError::Format(fault.to_owned()));
        if self.scores.len() != self.pieces.len() || self.kinds.len() != self.pieces.len() {
            return fault("as many scores and types as pieces are expected");
        }
        let has_bytes = self.kinds.contains(&BYTE);
        let unknown = self.kinds.iter().position(|&kind| kind == UNKNOWN);
        let (Some(unknown), true) = (unknown, self.pieces.len() < u32::MAX as usize) else {
            return fault("has no piece for what is unknown");
        };
        let model = match self.search {
            Search::Bpe => {
                let vocab: serde_json::Map<String, Value> =
                    self.pieces.iter().cloned().zip((0..).map(Value::from)).collect();
                if vocab.len() != self.pieces.len() {
                    return fault("two pieces are the same");
                }
                json!({
                    "type": "BPE", "dropout": null, "unk_token": self.pieces[unknown],
                    "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
                    "byte_fallback": has_bytes, "ignore_merges": false, "vocab": vocab, "merges": self.merges(),
                })
            }
            Search::Unigram => {
                let vocab: Vec<Value> = self.pieces.iter().zip(self.scores).map(|(p, s)| json!([p, s])).collect();
                json!({ "type": "Unigram", "unk_id": unknown, "vocab": vocab, "byte_fallback": has_bytes })
            }
        };
        Ok(json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added_tokens(self.pieces, self.kinds, &[UNKNOWN, CONTROL]),
            "normalizer": { "type": "Sequence", "normalizers": self.normalizers() },
            "pre_tokenizer": self.pre_tokenizer(),
            "post_processor": null,
            "decoder": { "type": "Sequence", "decoders": self.decoders() },
            "model": model,
        }))
    }

    /// The library's unigram search takes any piece that stands in the text, control pieces too: so the first character
    /// of what spells one is kept apart from the rest.
    fn pre_tokenizer(&self) -> Value {
        if self.search == Search::Bpe {
            return Value::Null;
        }
        let escaped = |text: &str| text.chars().map(|c| format!("\\x{{{:x}}}", u32::from(c))).collect::<String>();
        let hidden = self.pieces.iter().zip(self.kinds).filter(|(_, kind)| [UNKNOWN, CONTROL, BYTE].contains(*kind));
        let split = hidden.filter_map(|(piece, _)| piece.chars().next().map(|first| piece.split_at(first.len_utf8())));
        let spells = split.filter(|(_, rest)| !rest.is_empty());
        let pattern = spells.map(|(first, rest)| format!("{}(?={})", escaped(first), escaped(rest)));
        let pattern = pattern.collect::<Vec<_>>().join("|");
        if pattern.is_empty() {
            return Value::Null;
        }
        json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false })
    }

    fn normalizers(&self) -> Vec<Value> {
        use base64::Engine;
        let mut steps = Vec::new();
        if !self.charsmap.is_empty() {
            let map = base64::engine::general_purpose::STANDARD.encode(self.charsmap);
            steps.push(json!({ "type": "Precompiled", "precompiled_charsmap": map }));
        }
        if self.trims {
            steps.push(json!({ "type": "Strip", "strip_left": true, "strip_right": true }));
            steps.push(json!({ "type": "Replace", "pattern": { "Regex": " {2,}" }, "content": " " }));
        }
        if self.adds_prefix {
            steps.push(json!({ "type": "Prepend", "prepend": SPACE }));
        }
        steps.push(json!({ "type": "Replace", "pattern": { "String": " " }, "content": SPACE }));
        steps
    }

    fn decoders(&self) -> Vec<Value> {
        let mut steps = vec![
            json!({ "type": "Replace", "pattern": { "String": SPACE }, "content": " " }),
            json!({ "type": "ByteFallback" }),
            json!({ "type": "Fuse" }),
        ];
        if self.adds_prefix {
            steps.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
        }
        steps
    }

    /// Pairs of pieces whose sum is a piece, best first.
    fn merges(&self) -> Vec<[&str; 2]> {
        let ids: HashMap<&str, usize> = self.pieces.iter().map(String::as_str).zip(0..).collect();
        let mut merges: Vec<(f32, usize, usize, [&str; 2])> = Vec::new();
        for (piece, (&score, &kind)) in self.pieces.iter().zip(self.scores.iter().zip(self.kinds)) {
            if [UNKNOWN, CONTROL, BYTE].contains(&kind) {
                continue;
            }
            for (at, _) in piece.char_indices().skip(1) {
                let (left, right) = piece.split_at(at);
                if let (Some(&l), Some(&r)) = (ids.get(left), ids.get(right)) {
                    merges.push((score, l, r, [left, right]));
                }
            }
        }
        merges.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        merges.into_iter().map(|(.., pair)| pair).collect()
    }
}

/// How text becomes entries, of a `tokenizer.json` that has SentencePiece's BPE as merges: what is merged earlier has the
/// larger score.
pub(super) fn kind(json: &Value, n_tokens: usize) -> Result<VocabularyKind, TokenError> {
    let fault = |what: &str, found: &Value| {
        let text = format!("SentencePiece's BPE with the {what} {found} is not written to GGUF files");
        Err(TokenError::Format(text))
    };
    let normalizer = &json["normalizer"];
    let steps = match &normalizer["normalizers"] {
        Value::Array(steps) => steps.clone(),
        _ if normalizer.is_null() => Vec::new(),
        _ => vec![normalizer.clone()],
    };
    let mut adds_prefix = false;
    for step in &steps {
        match step["type"].as_str() {
            Some("Prepend") if step["prepend"] == SPACE => adds_prefix = true,
            Some("Replace") if step["pattern"]["String"] == " " && step["content"] == SPACE => {}
            _ => return fault("normalizer", step),
        }
    }
    match &json["pre_tokenizer"] {
        Value::Null => {}
        // What newer folders have in place of those two steps.
        metaspace if metaspace["type"] == "Metaspace" && metaspace["split"] == false => {
            adds_prefix = metaspace["prepend_scheme"] != "never";
        }
        other => return fault("pre_tokenizer", other),
    }
    let mut scores = vec![f32::NEG_INFINITY; n_tokens];
    let mut rank = 0u32;
    for merge in merges(&json["model"]) {
        let id = json["model"]["vocab"][merge.replace(' ', "")].as_u64().and_then(|id| usize::try_from(id).ok());
        if let Some(score) = id.and_then(|id| scores.get_mut(id)).filter(|score| score.is_infinite()) {
            *score = -(rank as f32);
            rank += 1;
        }
    }
    // What nothing is merged into is found as it stands, whatever its score.
    scores.iter_mut().filter(|score| score.is_infinite()).for_each(|score| *score = -(rank as f32));
    Ok(VocabularyKind::Pieces { scores, adds_prefix })
}
