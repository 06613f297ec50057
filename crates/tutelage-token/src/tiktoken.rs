//! OpenAI's `.tiktoken` files: a token in base64 and its rank, a line each.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::vocabulary::{added_token, byte_level_bpe};
use crate::{TokenError, Tokenizer};

/// The printable character of each byte in byte-level BPE (GPT-2's): itself where it is printable, else from U+0100 on.
pub(crate) fn alphabet() -> [char; 256] {
    let mut next = 0x100;
    std::array::from_fn(|byte| {
        let printable = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let code = if printable { byte as u32 } else { next };
        next += u32::from(!printable);
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    })
}

impl Tokenizer {
    /// Reads a `.tiktoken` file. `pre` names how text is divided (`llama-bpe` is cl100k's pattern, `gpt-4o` o200k's);
    /// `special` are tokens beyond the file with their ids, of which `bos` and `eos` are two.
    ///
    /// # Errors
    /// When a line is no token, a rank is there twice or missing, or the pattern is not known.
    pub fn from_tiktoken(
        file: &[u8],
        pre: &str,
        special: &[(&str, u32)],
        (bos, eos): (&str, &str),
    ) -> Result<Self, TokenError> {
        let ranks = ranks(file)?;
        let alphabet = alphabet();
        let text = |token: &[u8]| token.iter().map(|&byte| alphabet[byte as usize]).collect::<String>();
        let mut merges = Vec::new();
        for (token, &rank) in &ranks {
            for at in 1..token.len() {
                let (left, right) = token.split_at(at);
                if let (Some(&l), Some(&r)) = (ranks.get(left), ranks.get(right)) {
                    merges.push((rank, l, r, left, right));
                }
            }
        }
        merges.sort_unstable();
        let merges: Vec<[String; 2]> = merges.into_iter().map(|(.., left, right)| [text(left), text(right)]).collect();
        let vocab: serde_json::Map<String, Value> =
            ranks.iter().map(|(token, &rank)| (text(token), rank.into())).collect();
        let added: Vec<Value> = special.iter().map(|(token, id)| added_token(*id, token, true)).collect();
        // A piece of text that is a token is that token.
        let tokenizer = byte_level_bpe(pre, added, vocab, json!(merges), true)?;
        let config = json!({ "bos_token": bos, "eos_token": eos, "add_bos_token": false });
        Self::from_files(tokenizer.to_string().as_bytes(), Some(&config))
    }
}

/// Tokens with their ranks, which are the numbers from zero on.
fn ranks(file: &[u8]) -> Result<HashMap<Vec<u8>, u32>, TokenError> {
    let text = std::str::from_utf8(file).map_err(|_| TokenError::Format("is no text".to_owned()))?;
    let (mut ranks, mut seen) = (HashMap::new(), Vec::new());
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |what: &str| TokenError::Format(format!("line {}: {what}: '{line:.60}'", i + 1));
        let (token, rank) = line.trim().split_once(' ').ok_or_else(|| wrong("expected a token and a rank"))?;
        let token = STANDARD.decode(token).map_err(|_| wrong("the token is not base64"))?;
        let rank: u32 = rank.trim().parse().map_err(|_| wrong("the rank is no number"))?;
        if token.is_empty() || ranks.insert(token, rank).is_some() {
            return Err(wrong("the token is empty or there twice"));
        }
        seen.push(rank);
    }
    seen.sort_unstable();
    match (0..).zip(&seen).find(|(expected, found)| expected != *found) {
        Some((expected, _)) => Err(TokenError::Format(format!("rank {expected} is missing or there twice"))),
        None if seen.is_empty() => Err(TokenError::Format("holds no tokens".to_owned())),
        None => Ok(ranks),
    }
}
