//! InternLM2's construction of a tokenizer (2403.17297, section 3.2.1): the most used part of a base vocabulary, tokens
//! trained on another language, spare slots, a multiple of 256.
//!
//! Departures: the paper does not say how the most used are found, nor that what a token is merged from is kept with it;
//! here a token is kept with all that it is merged from. New tokens are merges on top of what was kept, so that they are
//! reachable where old merges come first.

mod keep;
mod merge;

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::chat::CHATML;
use crate::vocabulary::added_token;
use crate::{BOS, EOS, TokenError, Tokenizer, UNK};

/// How many tokens of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildSizes {
    /// The most used tokens of the base, its bytes among them.
    pub keep: usize,
    /// Tokens trained on the other corpus.
    pub add: usize,
    /// Spare slots at least, among them the six control tokens of chats; more fill the vocabulary to a multiple of 256.
    pub spare: usize,
}

/// Control tokens in the last slots, from the end on (InternLM2's places).
const CONTROLS: [&str; 6] =
    ["<|im_start|>", "<|im_end|>", "<|action_start|>", "<|action_end|>", "<|interpreter|>", "<|plugin|>"];

/// A byte-level BPE, taken apart.
struct Parts {
    json: Value,
    /// Entries by id, in the printable alphabet; none where a special token is.
    tokens: Vec<Option<String>>,
    merges: Vec<[String; 2]>,
}

fn fault(text: &str) -> TokenError {
    TokenError::Format(text.to_owned())
}

fn parts(base: &Tokenizer) -> Result<Parts, TokenError> {
    let json: Value = serde_json::from_str(&base.to_json()?).map_err(|e| TokenError::Format(e.to_string()))?;
    let model = &json["model"];
    if model["type"] != "BPE" || model["byte_fallback"] == true || !json["normalizer"].is_null() {
        return Err(fault("the base must be a byte-level BPE without a normalizer (as cl100k, GPT-2, Llama 3)"));
    }
    let mut tokens = vec![None; base.vocab_size()];
    for (token, id) in model["vocab"].as_object().into_iter().flatten() {
        let slot = id.as_u64().and_then(|id| tokens.get_mut(usize::try_from(id).ok()?));
        *slot.ok_or_else(|| fault("the base has ids that leave gaps"))? = Some(token.clone());
    }
    for added in json["added_tokens"].as_array().into_iter().flatten() {
        if let Some(slot) = added["id"].as_u64().and_then(|id| tokens.get_mut(usize::try_from(id).ok()?)) {
            *slot = None;
        }
    }
    let pair = |merge: &Value| match merge {
        Value::Array(pair) => Some([pair.first()?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned()]),
        merge => merge.as_str()?.split_once(' ').map(|(a, b)| [a.to_owned(), b.to_owned()]),
    };
    let merges: Option<Vec<_>> = model["merges"].as_array().into_iter().flatten().map(pair).collect();
    Ok(Parts { merges: merges.ok_or_else(|| fault("the base has merges that are no pairs"))?, json, tokens })
}

/// A tokenizer of these entries and merges, dividing text as the base does.
fn assemble(
    parts: &Parts,
    tokens: &[String],
    merges: &[[String; 2]],
    special: &[(u32, String)],
) -> Result<Tokenizer, TokenError> {
    let borders = [UNK, BOS, EOS].map(str::to_owned);
    let entries = (3u32..).zip(tokens).chain((0..).zip(&borders));
    let vocab: serde_json::Map<String, Value> = entries.map(|(id, token)| (token.clone(), id.into())).collect();
    let mut json = parts.json.clone();
    let special = (0..).zip(borders).chain(special.iter().cloned());
    json["added_tokens"] = special.map(|(id, token)| added_token(id, &token, true)).collect();
    json["post_processor"] = Value::Null;
    json["model"]["unk_token"] = Value::Null;
    json["model"]["vocab"] = Value::Object(vocab);
    json["model"]["merges"] = json!(merges);
    Tokenizer::from_json(json.to_string().as_bytes())
}

impl Tokenizer {
    /// Builds a tokenizer out of a base, a corpus that its tokens are counted on, and a corpus that tokens are added for.
    /// The same texts give the same tokenizer.
    ///
    /// # Errors
    /// When the base is no byte-level BPE, or the texts do not support the sizes.
    pub fn build<'t>(
        base: &Tokenizer,
        counted: impl Iterator<Item = &'t str>,
        added: impl Iterator<Item = &'t str>,
        sizes: BuildSizes,
    ) -> Result<Self, TokenError> {
        let parts = parts(base)?;
        let mut counts = vec![0u64; parts.tokens.len()];
        for text in counted {
            base.encode(text)?.into_iter().for_each(|id| counts[id as usize] += 1);
        }
        let (mut tokens, mut merges) = keep::most_used(&parts, &counts, sizes.keep)?;
        let kept = assemble(&parts, &tokens, &merges, &[])?;
        let mut words: HashMap<Vec<u32>, u64> = HashMap::new();
        for text in added {
            for word in kept.words(text)? {
                *words.entry(word).or_insert(0) += 1;
            }
        }
        merge::add(&mut tokens, &mut merges, words, sizes.add)?;
        let least = 3 + tokens.len() + sizes.spare.max(CONTROLS.len());
        let size = least.next_multiple_of(256);
        let special = (3 + tokens.len()..size).map(|id| {
            let from_end = size - 1 - id;
            let name = CONTROLS.get(from_end).map_or_else(|| format!("[UNUSED_TOKEN_{id}]"), |name| (*name).to_owned());
            (id as u32, name)
        });
        assemble(&parts, &tokens, &merges, &special.collect::<Vec<_>>())
    }

    /// Ids of a text by the words that it is divided into before merging.
    fn words(&self, text: &str) -> Result<Vec<Vec<u32>>, TokenError> {
        let encoding = self.encoding(text)?;
        let mut out: Vec<Vec<u32>> = Vec::new();
        let mut last = None;
        for (&id, &word) in encoding.get_ids().iter().zip(encoding.get_word_ids()) {
            if out.is_empty() || word != last {
                out.push(Vec::new());
                last = word;
            }
            out.last_mut().into_iter().for_each(|ids| ids.push(id));
        }
        Ok(out)
    }

    /// `tokenizer_config.json` of a tokenizer that was built: with ChatML as the chat template.
    pub fn built_config_json(&self) -> Value {
        let mut config = self.config_json();
        config["chat_template"] = CHATML.into();
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGLISH: [&str; 2] =
        ["the cat sat on the mat and the cat sat", "a hat on the cat, the other cat sat on the hat"];
    const CHINESE: [&str; 2] = ["你好世界你好世界你好", "世界你好，世界和平，你好和平世界"];

    fn base() -> Tokenizer {
        Tokenizer::train_bpe(ENGLISH.into_iter(), 259 + 12).unwrap()
    }

    fn build(sizes: BuildSizes) -> Result<Tokenizer, TokenError> {
        Tokenizer::build(&base(), ENGLISH.into_iter(), CHINESE.into_iter(), sizes)
    }

    #[test]
    fn kept_and_added_tokens_are_used() {
        let sizes = BuildSizes { keep: 256 + 9, add: 8, spare: 10 };
        let (base, built) = (base(), build(sizes).unwrap());
        assert_eq!(built.vocab_size() % 256, 0);
        assert_eq!(built.vocab_size(), 512);
        for text in ENGLISH.into_iter().chain(CHINESE).chain(["mixed 世界 cat\n\t你"]) {
            assert_eq!(built.decode(&built.encode(text).unwrap()).unwrap(), text);
        }
        let n = |t: &Tokenizer, text: &str| t.encode(text).unwrap().len();
        assert!(n(&built, CHINESE[0]) * 2 < n(&base, CHINESE[0]), "{}", n(&built, CHINESE[0]));
        assert!(n(&built, ENGLISH[0]) < ENGLISH[0].len() * 3 / 4);
        // Every kept and added token is reachable: its text encodes to it alone, or it is part of a larger one.
        assert_eq!((built.bos(), built.eos()), (1, 2));
        assert_eq!(built.token(511).as_deref(), Some("<|im_start|>"));
        assert_eq!(built.token(506).as_deref(), Some("<|plugin|>"));
        assert_eq!(built.token(505).as_deref(), Some("[UNUSED_TOKEN_505]"));
        assert_eq!(build(sizes).unwrap().to_json().unwrap(), built.to_json().unwrap(), "the same each time");
        assert!(!built.encode("<|im_start|>").unwrap().contains(&511), "text is no control token");
    }

    #[test]
    fn sizes_that_texts_do_not_support_are_refused() {
        let message = |sizes| build(sizes).unwrap_err().to_string();
        assert!(message(BuildSizes { keep: 100, add: 1, spare: 0 }).contains("256"));
        assert!(message(BuildSizes { keep: 5000, add: 1, spare: 0 }).contains("268"));
        assert!(message(BuildSizes { keep: 260, add: 5000, spare: 0 }).contains("5000"));
    }
}
