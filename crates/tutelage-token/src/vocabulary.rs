//! The vocabulary that a GGUF file carries, to and from a tokenizer.

use serde_json::{Value, json};

use crate::{TokenError, Tokenizer, pre};

/// A byte-level BPE vocabulary with its merges, as GGUF's metadata has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// How text is divided before merging (`tokenizer.ggml.pre`).
    pub pre: String,
    /// Entries by id, in the printable alphabet of byte-level BPE.
    pub tokens: Vec<String>,
    /// ggml's type of each: 1 ordinary, 3 control, 4 written by users, 5 unused; empty if all are ordinary.
    pub token_types: Vec<i32>,
    /// Pairs, divided by a space, by falling rank.
    pub merges: Vec<String>,
    /// Id that begins a document.
    pub bos: u32,
    /// Id that ends a document.
    pub eos: u32,
    /// Whether [`Self::bos`] goes before a text.
    pub adds_bos: bool,
}

const ORDINARY: i32 = 1;
const CONTROL: i32 = 3;
const BY_USERS: i32 = 4;
const UNUSED: i32 = 5;

impl Tokenizer {
    /// The tokenizer of a vocabulary.
    ///
    /// # Errors
    /// When its way of dividing text is not known, or merges and entries do not fit together.
    pub fn from_vocabulary(vocabulary: &Vocabulary) -> Result<Self, TokenError> {
        let Vocabulary { tokens, token_types, merges, .. } = vocabulary;
        let fault = |fault: String| Err(TokenError::Format(fault));
        if !token_types.is_empty() && token_types.len() != tokens.len() {
            return fault(format!("{} types of tokens for {} tokens", token_types.len(), tokens.len()));
        }
        let entries: serde_json::Map<String, Value> = tokens.iter().cloned().zip((0..).map(Value::from)).collect();
        if entries.len() != tokens.len() {
            return fault("two tokens are the same".to_owned());
        }
        let added: Vec<Value> = (0..)
            .zip(tokens.iter().zip(token_types))
            .filter(|(_, (_, kind))| [CONTROL, BY_USERS].contains(*kind))
            .map(|(id, (token, kind)): (u32, _)| {
                json!({
                    "id": id, "content": token, "special": *kind == CONTROL, "normalized": false,
                    "single_word": false, "lstrip": false, "rstrip": false,
                })
            })
            .collect();
        let Some(pre_tokenizer) = pre::pre_tokenizer(&vocabulary.pre) else {
            let known = pre::names().join(", ");
            return fault(format!("text is divided by rules called '{}'; supported are {known}", vocabulary.pre));
        };
        let byte_level =
            json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
        let tokenizer = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": null,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": null,
            "decoder": byte_level,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": pre::ignores_merges(&vocabulary.pre),
                "vocab": entries, "merges": merges,
            },
        });
        let name = |id: u32| {
            let token = tokens.get(id as usize).cloned();
            token.ok_or_else(|| TokenError::Format(format!("token {id} of {} is to mark borders", tokens.len())))
        };
        let config = json!({
            "bos_token": name(vocabulary.bos)?,
            "eos_token": name(vocabulary.eos)?,
            "add_bos_token": vocabulary.adds_bos,
        });
        Self::from_files(tokenizer.to_string().as_bytes(), Some(&config))
    }

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
            pre: pre.to_owned(),
            tokens: vec![String::new(); self.vocab_size()],
            token_types: vec![UNUSED; self.vocab_size()],
            merges: Vec::new(),
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
        for merge in model["merges"].as_array().into_iter().flatten() {
            vocabulary.merges.push(match merge {
                Value::Array(pair) => {
                    pair.iter().map(|part| part.as_str().unwrap_or_default()).collect::<Vec<_>>().join(" ")
                }
                merge => merge.as_str().unwrap_or_default().to_owned(),
            });
        }
        Ok(vocabulary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Vocabulary {
        let words = ["<s>", "</s>", "a", "b", "ab", "1", "2", "12"];
        Vocabulary {
            pre: "smollm".to_owned(),
            tokens: words.map(String::from).to_vec(),
            token_types: vec![3, 3, 1, 1, 1, 1, 1, 1],
            merges: vec!["a b".to_owned(), "1 2".to_owned()],
            bos: 0,
            eos: 1,
            adds_bos: false,
        }
    }

    #[test]
    fn digits_stay_apart_where_the_rules_say_so() {
        let ids = |pre: &str| {
            let tokenizer = Tokenizer::from_vocabulary(&Vocabulary { pre: pre.to_owned(), ..small() }).unwrap();
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
            let vocabulary = Vocabulary { pre: pre.to_owned(), ..small() };
            assert_eq!(Tokenizer::from_vocabulary(&vocabulary).unwrap().to_vocabulary().unwrap(), vocabulary);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |vocabulary: Vocabulary| Tokenizer::from_vocabulary(&vocabulary).unwrap_err().to_string();
        assert!(refused(Vocabulary { pre: "deepseek".into(), ..small() }).contains("'deepseek'"));
        assert!(refused(Vocabulary { bos: 99, ..small() }).contains("token 99 of 8"));
        assert!(refused(Vocabulary { token_types: vec![1], ..small() }).contains("1 types"));
        assert!(refused(Vocabulary { merges: vec!["a x".into()], ..small() }).starts_with("not a tokenizer.json"));
        let tokens = vec!["a".to_owned(); 8];
        assert!(refused(Vocabulary { tokens, ..small() }).contains("the same"));
    }
}
