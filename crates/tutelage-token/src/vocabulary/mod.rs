//! The vocabulary that a GGUF file carries, to and from a tokenizer.

mod bytes;
mod gemma;
mod pieces;
mod words;

use serde_json::{Value, json};

pub(crate) use bytes::byte_level_bpe;
pub(crate) use pieces::{Pieces, Search};

use crate::{TokenError, Tokenizer};

/// A vocabulary, as GGUF's metadata has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Vocabulary {
    /// How text becomes entries.
    pub kind: VocabularyKind,
    /// Entries by id.
    pub tokens: Vec<String>,
    /// ggml's type of each: 1 ordinary, 2 unknown, 3 control, 4 written by users, 5 unused, 6 a byte; empty if all are
    /// ordinary.
    pub token_types: Vec<i32>,
    /// Id that begins a document.
    pub bos: u32,
    /// Id that ends a document.
    pub eos: u32,
    /// Whether [`Self::bos`] goes before a text.
    pub adds_bos: bool,
}

/// How text becomes entries.
#[derive(Debug, Clone, PartialEq)]
pub enum VocabularyKind {
    /// Byte-level BPE ("gpt2"): entries are in a printable alphabet of bytes.
    Bytes {
        /// How text is divided before merging (`tokenizer.ggml.pre`).
        pre: String,
        /// Pairs, divided by a space, by falling rank.
        merges: Vec<String>,
    },
    /// SentencePiece's BPE ("llama").
    Pieces {
        /// What is merged first has the largest.
        scores: Vec<f32>,
        /// Whether a space goes before a text.
        adds_prefix: bool,
    },
    /// SentencePiece's entries with merges ("gemma4").
    Gemma {
        /// Pairs, divided by a space, by falling rank.
        merges: Vec<String>,
    },
    /// WordPiece ("bert"), lower case.
    Words,
}

pub(crate) const ORDINARY: i32 = 1;
pub(crate) const UNKNOWN: i32 = 2;
pub(crate) const CONTROL: i32 = 3;
pub(crate) const BY_USERS: i32 = 4;
pub(crate) const UNUSED: i32 = 5;
pub(crate) const BYTE: i32 = 6;

/// An entry that is matched as it stands; special ones are never found in text.
pub(crate) fn added_token(id: u32, content: &str, special: bool) -> Value {
    json!({
        "id": id, "content": content, "special": special, "normalized": false,
        "single_word": false, "lstrip": false, "rstrip": false,
    })
}

/// Entries of `special` types, and those of users.
fn added_tokens(tokens: &[String], kinds: &[i32], special: &[i32]) -> Vec<Value> {
    let entries = (0..).zip(tokens.iter().zip(kinds));
    let added = entries.filter(|(_, (_, kind))| special.contains(kind) || **kind == BY_USERS);
    added.map(|(id, (token, kind))| added_token(id, token, *kind != BY_USERS)).collect()
}

impl Tokenizer {
    /// The tokenizer of a vocabulary.
    ///
    /// # Errors
    /// When its way of dividing text is not known, or its parts do not fit together.
    pub fn from_vocabulary(vocabulary: &Vocabulary) -> Result<Self, TokenError> {
        let tokens = &vocabulary.tokens;
        let fault = |fault: String| TokenError::Format(fault);
        let ordinary = vec![ORDINARY; tokens.len()];
        let kinds = if vocabulary.token_types.is_empty() { &ordinary } else { &vocabulary.token_types };
        if kinds.len() != tokens.len() {
            return Err(fault(format!("{} types of tokens for {} tokens", kinds.len(), tokens.len())));
        }
        let tokenizer = match &vocabulary.kind {
            VocabularyKind::Bytes { pre, merges } => bytes::to_json(pre, tokens, kinds, merges)?,
            VocabularyKind::Gemma { merges } => gemma::to_json(tokens, kinds, merges)?,
            VocabularyKind::Words => words::to_json(tokens, kinds)?,
            VocabularyKind::Pieces { scores, adds_prefix } => {
                let (search, adds_prefix) = (Search::Bpe, *adds_prefix);
                Pieces { pieces: tokens, scores, kinds, search, adds_prefix, trims: false, charsmap: &[] }.to_json()?
            }
        };
        let name = |id: u32| {
            let token = tokens.get(id as usize).cloned();
            token.ok_or_else(|| fault(format!("token {id} of {} is to mark borders", tokens.len())))
        };
        let config = json!({
            "bos_token": name(vocabulary.bos)?,
            "eos_token": name(vocabulary.eos)?,
            "add_bos_token": vocabulary.adds_bos,
        });
        Self::from_files(tokenizer.to_string().as_bytes(), Some(&config))
    }

    /// The vocabulary of a byte-level BPE, or of SentencePiece's BPE, as GGUF's metadata has it.
    ///
    /// # Errors
    /// When it is another kind of tokenizer, or divides or changes text in a way that llama.cpp has no name for.
    pub fn to_vocabulary(&self) -> Result<Vocabulary, TokenError> {
        let fault = |fault: &str| TokenError::Format(fault.to_owned());
        let json: Value = serde_json::from_str(&self.to_json()?).map_err(|e| TokenError::Format(e.to_string()))?;
        let model = &json["model"];
        if model["type"] != "BPE" {
            return Err(fault("only BPE, byte-level or SentencePiece's, is written to GGUF files"));
        }
        let falls_back = model["byte_fallback"] == json!(true);
        let (n, unknown) = (self.vocab_size(), &model["unk_token"]);
        let mut vocabulary = Vocabulary {
            tokens: vec![String::new(); n],
            token_types: vec![UNUSED; n],
            kind: if falls_back { pieces::kind(&json, n)? } else { bytes::kind(&json)? },
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
        let is_byte = |token: &str| {
            let digits = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
            falls_back && digits.is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
        };
        for (token, id) in model["vocab"].as_object().into_iter().flatten() {
            set(token, id.as_u64(), if is_byte(token) { BYTE } else { ORDINARY })?;
        }
        for added in json["added_tokens"].as_array().into_iter().flatten() {
            let kind = match (added["content"] == *unknown, added["special"] == json!(true)) {
                (true, _) => UNKNOWN,
                (false, true) => CONTROL,
                (false, false) => BY_USERS,
            };
            set(added["content"].as_str().unwrap_or_default(), added["id"].as_u64(), kind)?;
        }
        Ok(vocabulary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(pre: &str) -> VocabularyKind {
        VocabularyKind::Bytes { pre: pre.to_owned(), merges: vec!["a b".to_owned(), "1 2".to_owned()] }
    }

    fn small() -> Vocabulary {
        let words = ["<s>", "</s>", "a", "b", "ab", "1", "2", "12"];
        Vocabulary {
            kind: bytes("smollm"),
            tokens: words.map(String::from).to_vec(),
            token_types: vec![3, 3, 1, 1, 1, 1, 1, 1],
            bos: 0,
            eos: 1,
            adds_bos: false,
        }
    }

    #[test]
    fn digits_stay_apart_where_the_rules_say_so() {
        let ids = |pre: &str| {
            let tokenizer = Tokenizer::from_vocabulary(&Vocabulary { kind: bytes(pre), ..small() }).unwrap();
            tokenizer.encode("ab12").unwrap()
        };
        assert_eq!((ids("smollm"), ids("gpt-2")), (vec![4, 5, 6], vec![4, 7]));
    }

    #[test]
    fn files_come_back() {
        let tokenizer = Tokenizer::from_vocabulary(&small()).unwrap();
        let json = tokenizer.to_json().unwrap();
        let read = Tokenizer::from_files(json.as_bytes(), Some(&tokenizer.config_json())).unwrap();
        assert_eq!((read.bos(), read.eos(), read.adds_bos()), (0, 1, false));
        assert_eq!(read.encode("ab</s>1").unwrap(), tokenizer.encode("ab</s>1").unwrap());
        assert!(!read.encode("ab</s>1").unwrap().contains(&1), "text is no control token");
        for pre in ["smollm", "gpt-2", "llama-bpe", "qwen2", "gpt-4o"] {
            let vocabulary = Vocabulary { kind: bytes(pre), ..small() };
            assert_eq!(Tokenizer::from_vocabulary(&vocabulary).unwrap().to_vocabulary().unwrap(), vocabulary);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |vocabulary: Vocabulary| Tokenizer::from_vocabulary(&vocabulary).unwrap_err().to_string();
        assert!(refused(Vocabulary { kind: bytes("deepseek"), ..small() }).contains("'deepseek'"));
        assert!(refused(Vocabulary { bos: 99, ..small() }).contains("token 99 of 8"));
        assert!(refused(Vocabulary { token_types: vec![1], ..small() }).contains("1 types"));
        let kind = VocabularyKind::Bytes { pre: "gpt-2".to_owned(), merges: vec!["a x".to_owned()] };
        assert!(refused(Vocabulary { kind, ..small() }).starts_with("not a tokenizer.json"));
        let tokens = vec!["a".to_owned(); 8];
        assert!(refused(Vocabulary { tokens, ..small() }).contains("the same"));
    }
}
