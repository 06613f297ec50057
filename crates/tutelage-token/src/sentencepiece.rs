//! SentencePiece's `tokenizer.model`: a protocol buffer (`sentencepiece_model.proto`), of which this much is read.

use prost::Message;
use serde_json::json;

use crate::vocabulary::{BY_USERS, CONTROL, Pieces, Search, UNKNOWN};
use crate::{TokenError, Tokenizer};

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    trainer: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    normalizer: Option<NormalizerSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct Piece {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct TrainerSpec {
    #[prost(int32, optional, tag = "3")]
    model_type: Option<i32>,
    #[prost(bool, optional, tag = "24")]
    treat_whitespace_as_suffix: Option<bool>,
    #[prost(int32, optional, tag = "41")]
    bos_id: Option<i32>,
    #[prost(int32, optional, tag = "42")]
    eos_id: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "2")]
    charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3")]
    add_dummy_prefix: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    remove_extra_whitespaces: Option<bool>,
    #[prost(bool, optional, tag = "5")]
    escape_whitespaces: Option<bool>,
}

const UNIGRAM: i32 = 1;
const BPE: i32 = 2;

impl Tokenizer {
    /// Reads SentencePiece's `tokenizer.model`, BPE or unigram, with the `tokenizer_config.json` beside it, if any.
    ///
    /// # Errors
    /// When it is none, or of a kind that is not supported.
    pub fn from_sentencepiece(model: &[u8], config: Option<&serde_json::Value>) -> Result<Self, TokenError> {
        let fault = |fault: String| TokenError::Format(fault);
        let proto = ModelProto::decode(model).map_err(|error| fault(format!("no SentencePiece model: {error}")))?;
        if proto.pieces.is_empty() {
            return Err(fault("no SentencePiece model: it has no pieces".to_owned()));
        }
        let (trainer, normalizer) = (proto.trainer.unwrap_or_default(), proto.normalizer.unwrap_or_default());
        let search = match trainer.model_type.unwrap_or(UNIGRAM) {
            UNIGRAM => Search::Unigram,
            BPE => Search::Bpe,
            other => return Err(fault(format!("model_type = {other}: only unigram (1) and BPE (2) are supported"))),
        };
        for (name, found, supported) in [
            ("treat_whitespace_as_suffix", trainer.treat_whitespace_as_suffix.unwrap_or(false), false),
            ("escape_whitespaces", normalizer.escape_whitespaces.unwrap_or(true), true),
        ] {
            if found != supported {
                return Err(fault(format!("{name} = {found}: only {supported} is supported")));
            }
        }
        let mut pieces: Vec<String> = proto.pieces.iter().map(|p| p.piece.clone().unwrap_or_default()).collect();
        let mut scores: Vec<f32> = proto.pieces.iter().map(|p| p.score.unwrap_or(0.0)).collect();
        let mut kinds: Vec<i32> = proto.pieces.iter().map(|p| p.kind.unwrap_or(1)).collect();
        if let Some(kind) = kinds.iter().find(|kind| !(1..=6).contains(*kind)) {
            return Err(fault(format!("a piece is of type {kind}, which there is not")));
        }
        for (id, token, special) in added(config)? {
            // Models give names to entries that were spare (InternLM2's `<|im_start|>`), or add some.
            if id > pieces.len() {
                return Err(fault(format!("added_tokens_decoder: id {id} follows {} entries", pieces.len())));
            }
            if id == pieces.len() {
                pieces.push(String::new());
                scores.push(0.0);
                kinds.push(0);
            }
            pieces[id] = token;
            if kinds[id] != UNKNOWN {
                kinds[id] = if special { CONTROL } else { BY_USERS };
            }
        }
        let tokenizer = Pieces {
            pieces: &pieces,
            scores: &scores,
            kinds: &kinds,
            search,
            adds_prefix: normalizer.add_dummy_prefix.unwrap_or(true),
            trims: normalizer.remove_extra_whitespaces.unwrap_or(true),
            charsmap: &normalizer.charsmap.unwrap_or_default(),
        }
        .to_json()?;
        let name = |id: Option<i32>, default: i32| {
            let id = usize::try_from(id.unwrap_or(default)).ok();
            id.and_then(|id| pieces.get(id)).cloned()
        };
        let mut fields = json!({ "bos_token": name(trainer.bos_id, 1), "eos_token": name(trainer.eos_id, 2) });
        for (key, value) in config.and_then(serde_json::Value::as_object).into_iter().flatten() {
            fields[key] = value.clone();
        }
        Self::from_files(tokenizer.to_string().as_bytes(), Some(&fields))
    }
}

/// `added_tokens_decoder` of a `tokenizer_config.json`: ids, tokens, and whether they are special, by id.
fn added(config: Option<&serde_json::Value>) -> Result<Vec<(usize, String, bool)>, TokenError> {
    let tokens = config.and_then(|config| config.get("added_tokens_decoder")).and_then(serde_json::Value::as_object);
    let mut out = Vec::new();
    for (id, token) in tokens.into_iter().flatten() {
        let (number, content) = (id.parse().ok(), token["content"].as_str());
        let (Some(number), Some(content)) = (number, content) else {
            return Err(TokenError::Format(format!("added_tokens_decoder: '{id}': {token} is no token")));
        };
        out.push((number, content.to_owned(), token["special"] == serde_json::Value::Bool(true)));
    }
    out.sort();
    Ok(out)
}
