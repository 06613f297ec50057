//! What an entry of the vocabulary stands for in a text.

use std::collections::HashMap;

use tokenizers::DecoderWrapper;

use crate::{Tokenizer, tiktoken};

/// SentencePiece's space.
const SPACE: char = '\u{2581}';

/// An entry: bytes of text, or a token that only the model writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spelling {
    /// Bytes of the text; a part of a character, perhaps.
    Bytes(Vec<u8>),
    /// A special token, by its name; nothing of it stands in the text.
    Special(String),
}

impl Spelling {
    /// As it is shown: characters where it is some, as OpenAI's servers have it otherwise (`bytes:\xe2\x96`).
    pub fn shown(&self) -> String {
        match self {
            Spelling::Special(name) => name.clone(),
            Spelling::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => bytes.iter().fold("bytes:".to_owned(), |text, byte| text + &format!("\\x{byte:02x}")),
            },
        }
    }

    /// Its bytes, as they would stand in a text; those of the name of a special token.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Spelling::Bytes(bytes) => bytes,
            Spelling::Special(name) => name.as_bytes(),
        }
    }
}

/// How entries are spelled.
enum Alphabet {
    /// A printable character for each byte.
    Printable(HashMap<char, u8>),
    /// Characters, with [`SPACE`] for a space and `<0xE2>` for a byte.
    Pieces,
}

fn is_byte_level(decoder: &DecoderWrapper) -> bool {
    match decoder {
        DecoderWrapper::ByteLevel(_) => true,
        DecoderWrapper::Sequence(all) => all.get_decoders().iter().any(is_byte_level),
        _ => false,
    }
}

impl Alphabet {
    fn bytes(&self, entry: &str) -> Vec<u8> {
        match self {
            // What is not of the alphabet was added as it stands.
            Alphabet::Printable(bytes) => {
                let all: Option<Vec<u8>> = entry.chars().map(|c| bytes.get(&c).copied()).collect();
                all.unwrap_or_else(|| entry.as_bytes().to_vec())
            }
            Alphabet::Pieces => {
                let byte = entry.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
                match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                    Some(byte) => vec![byte],
                    None => entry.replace(SPACE, " ").into_bytes(),
                }
            }
        }
    }
}

impl Tokenizer {
    /// What each entry stands for, by id.
    pub fn spellings(&self) -> Vec<Spelling> {
        let inner = self.inner();
        let alphabet = match inner.get_decoder() {
            Some(decoder) if is_byte_level(decoder) => {
                Alphabet::Printable(tiktoken::alphabet().into_iter().zip(0..=255).collect())
            }
            _ => Alphabet::Pieces,
        };
        let added = inner.get_added_tokens_decoder();
        let spelling = |id| match added.get(&id) {
            Some(token) if token.special => Spelling::Special(token.content.clone()),
            Some(token) => Spelling::Bytes(token.content.clone().into_bytes()),
            // Ids may have gaps.
            None => Spelling::Bytes(inner.id_to_token(id).map(|entry| alphabet.bytes(&entry)).unwrap_or_default()),
        };
        (0..self.vocab_size() as u32).map(spelling).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Vocabulary, VocabularyKind};

    /// The bytes of a text's tokens are the text's.
    fn check(tokenizer: &Tokenizer, text: &str, prefix: &str) {
        let spellings = tokenizer.spellings();
        let ids = tokenizer.encode(text).unwrap();
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| spellings[id as usize].bytes().to_vec()).collect();
        assert_eq!(bytes, format!("{prefix}{text}").as_bytes());
    }

    const TEXT: &str = "the cat \u{1f408} sat\n\ton\u{a0}\u{e9}\u{4f60}";

    #[test]
    fn entries_of_byte_level_vocabularies_are_bytes() {
        let tokenizer = Tokenizer::train_bpe(["the cat sat on the cat"].into_iter(), 262).unwrap();
        check(&tokenizer, TEXT, "");
        let spellings = tokenizer.spellings();
        assert_eq!(spellings.len(), 262);
        assert_eq!(spellings[1], Spelling::Special("<s>".to_owned()));
        let cat = tokenizer.encode("\u{1f408}").unwrap();
        assert_eq!(spellings[cat[0] as usize].shown(), "bytes:\\xf0");
        assert!(spellings.iter().any(|spelling| spelling.shown() == " "), "a space is shown as one");
    }

    #[test]
    fn entries_of_pieces_are_characters_and_bytes() {
        let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
        let words = ["\u{2581}", "t", "h", "e", "\u{2581}th", "\u{2581}the"].map(str::to_owned);
        let tokens: Vec<String> =
            ["<unk>", "<s>", "</s>"].map(str::to_owned).into_iter().chain(bytes).chain(words).collect();
        let mut token_types = vec![1; tokens.len()];
        token_types[..3].copy_from_slice(&[2, 3, 3]);
        token_types[3..259].fill(6);
        let scores = (0..tokens.len()).map(|i| i as f32).collect();
        let kind = VocabularyKind::Pieces { scores, adds_prefix: true };
        let vocabulary = Vocabulary { kind, tokens, token_types, bos: 1, eos: 2, adds_bos: true };
        let tokenizer = Tokenizer::from_vocabulary(&vocabulary).unwrap();
        check(&tokenizer, TEXT, " ");
        assert_eq!(tokenizer.spellings()[2], Spelling::Special("</s>".to_owned()));
    }
}
