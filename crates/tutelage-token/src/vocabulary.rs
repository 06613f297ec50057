//! A tokenizer from the vocabulary that a GGUF file carries.

use serde_json::{Value, json};

use crate::{TokenError, Tokenizer};

/// A byte-level BPE vocabulary with its merges, as GGUF's metadata has them.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// How text is divided before merging (`tokenizer.ggml.pre`).
    pub pre: String,
    /// Entries by id, in the printable alphabet of byte-level BPE.
    pub tokens: Vec<String>,
    /// ggml's type of each: 1 ordinary, 3 control, 4 written by users; empty if all are ordinary.
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

const CONTROL: i32 = 3;
const BY_USERS: i32 = 4;

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
        let byte_level =
            json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
        let tokenizer = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": null,
            "pre_tokenizer": pre_tokenizer(&vocabulary.pre, &byte_level)?,
            "post_processor": null,
            "decoder": byte_level,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
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
}

/// How text is divided, by llama.cpp's name for it.
fn pre_tokenizer(name: &str, byte_level: &Value) -> Result<Value, TokenError> {
    match name {
        "gpt-2" => Ok(byte_level.clone()),
        "smollm" => Ok(json!({
            "type": "Sequence",
            "pretokenizers": [{ "type": "Digits", "individual_digits": true }, byte_level],
        })),
        other => Err(TokenError::Format(format!(
            "text is divided by rules called '{other}'; only \"gpt-2\" and \"smollm\" are supported"
        ))),
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
