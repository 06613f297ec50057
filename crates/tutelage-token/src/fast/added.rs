//! Tokens that are looked for in a text before anything else, as the library does it: the leftmost first, the longest of those.

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::Value;

/// Added tokens of a tokenizer.
#[derive(Debug, Default)]
pub(super) struct Added {
    /// All that stand for themselves, with their ids; special ones have none: they are characters, but what they cover is
    /// not searched again.
    tokens: Option<(AhoCorasick, Vec<Option<u32>>)>,
    /// A text that has one of these goes through the library.
    others: Vec<String>,
}

/// More would be looked for longer than the encoding takes.
const MOST_OTHERS: usize = 32;

impl Added {
    /// Nothing where there are too many that do not stand for themselves.
    pub(super) fn new(added_tokens: &Value) -> Option<Self> {
        let (mut patterns, mut ids, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for token in added_tokens.as_array().into_iter().flatten() {
            let content = token["content"].as_str()?;
            let is_special = token["special"] == true;
            let is_plain = ["normalized", "single_word", "lstrip", "rstrip"].iter().all(|flag| token[flag] != true);
            if is_special && token["normalized"] == true {
                continue;
            }
            match is_special || is_plain {
                true => {
                    let id = u32::try_from(token["id"].as_u64()?).ok()?;
                    patterns.push(content);
                    ids.push((!is_special).then_some(id));
                }
                false => others.push(content.to_owned()),
            }
        }
        if others.len() > MOST_OTHERS {
            return None;
        }
        let tokens = match ids.iter().any(Option::is_some) {
            true => Some((AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&patterns).ok()?, ids)),
            false => None,
        };
        Some(Self { tokens, others })
    }

    /// Whether a text has none that the library is needed for.
    pub(super) fn takes(&self, text: &str) -> bool {
        !self.others.iter().any(|token| text.contains(&token[..]))
    }

    /// Gives what is between the tokens, and the tokens' ids.
    #[inline]
    pub(super) fn each<'t>(&self, text: &'t str, mut take: impl FnMut(Result<&'t str, u32>)) {
        let mut start = 0;
        if let Some((tokens, ids)) = &self.tokens {
            for found in tokens.find_iter(text) {
                let Some(id) = ids[found.pattern()] else { continue };
                if start < found.start() {
                    take(Ok(&text[start..found.start()]));
                }
                take(Err(id));
                start = found.end();
            }
        }
        if start < text.len() {
            take(Ok(&text[start..]));
        }
    }
}
