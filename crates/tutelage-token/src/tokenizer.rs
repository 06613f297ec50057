//! Byte-level BPE.

use std::sync::{Arc, OnceLock};

use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, TokenizerImpl};

use crate::fast::Fast;
use crate::{Encoder, TokenError};

/// Stands for nothing here (bytes cover every text); kept so that ids are InternLM2's.
pub const UNK: &str = "<unk>";
/// Begins a document.
pub const BOS: &str = "<s>";
/// Ends a document.
pub const EOS: &str = "</s>";

/// Bytes and special tokens: the smallest vocabulary.
pub const MIN_VOCAB: usize = 256 + 3;

/// A special token.
pub(crate) struct ControlToken {
    pub(crate) id: u32,
    pub(crate) text: String,
    /// Whether spaces before it belong to it.
    pub(crate) strips_left: bool,
    /// Whether spaces after it belong to it.
    pub(crate) strips_right: bool,
}

/// A vocabulary and its merges.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    bos: u32,
    eos: u32,
    adds_bos: bool,
    /// The library builds a whole map to count.
    vocab_size: usize,
    /// Made when first needed: most tokenizers encode a few prompts only.
    fast: OnceLock<Option<Arc<Fast>>>,
}

impl Tokenizer {
    /// Learns exactly `vocab_size` entries from `texts`; the same texts give the same tokenizer.
    ///
    /// # Errors
    /// When `vocab_size` is below the 259 that bytes and special tokens take, or above what the texts support.
    pub fn train_bpe<'t>(texts: impl Iterator<Item = &'t str> + Send, vocab_size: usize) -> Result<Self, TokenError> {
        if vocab_size < MIN_VOCAB {
            let found = format!("but bytes and special tokens alone take {MIN_VOCAB}");
            return Err(TokenError::VocabSize { asked: vocab_size, found });
        }
        let mut trainer = BpeTrainerBuilder::new()
            .vocab_size(vocab_size)
            .min_frequency(2)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens([UNK, BOS, EOS].map(|token| AddedToken::from(token, true)).to_vec())
            .build();
        let mut inner: TokenizerImpl<
            BPE,
            tokenizers::NormalizerWrapper,
            ByteLevel,
            tokenizers::PostProcessorWrapper,
            ByteLevel,
        > = TokenizerImpl::new(BPE::default());
        let byte_level = ByteLevel::default().add_prefix_space(false);
        inner.with_pre_tokenizer(Some(byte_level));
        inner.with_decoder(Some(byte_level));
        inner.train(&mut trainer, texts).map_err(library)?;
        let json = inner.to_string(false).map_err(library)?;
        let tokenizer = Self::from_json(json.as_bytes())?;
        if tokenizer.vocab_size() != vocab_size {
            let found =
                format!("but the text supports {} only; set a smaller size or add text", tokenizer.vocab_size());
            return Err(TokenError::VocabSize { asked: vocab_size, found });
        }
        Ok(tokenizer)
    }

    /// Reads a `tokenizer.json` whose documents begin with [`BOS`] and end with [`EOS`].
    ///
    /// # Errors
    /// When it is none, or lacks one of them.
    pub fn from_json(json: &[u8]) -> Result<Self, TokenError> {
        Self::from_files(json, None)
    }

    /// Reads a `tokenizer.json`, with the `tokenizer_config.json` that names its special tokens.
    ///
    /// # Errors
    /// When it is none, or lacks a token that it names.
    pub fn from_files(json: &[u8], config: Option<&serde_json::Value>) -> Result<Self, TokenError> {
        let mut inner = tokenizers::Tokenizer::from_bytes(json).map_err(|e| TokenError::Format(e.to_string()))?;
        // A document that holds the characters "</s>" must not end there.
        inner.set_encode_special_tokens(true);
        let field = |name: &str| config.and_then(|config| config.get(name)).filter(|value| !value.is_null());
        let id = |name: &str, default: &'static str| {
            // A token, or an object that describes one.
            let token = field(name).map(|value| value.get("content").unwrap_or(value));
            let token = token.map_or(Some(default), serde_json::Value::as_str);
            let token = token.ok_or_else(|| TokenError::Format(format!("{name} of its configuration is no token")))?;
            inner.token_to_id(token).ok_or_else(|| TokenError::MissingSpecial(token.to_owned()))
        };
        let (bos, eos) = (id("bos_token", BOS)?, id("eos_token", EOS)?);
        let adds_bos = field("add_bos_token").and_then(serde_json::Value::as_bool).unwrap_or(true);
        let vocab_size = inner.get_vocab_size(true);
        Ok(Self { inner, bos, eos, adds_bos, vocab_size, fast: OnceLock::new() })
    }

    /// The `tokenizer.json`.
    ///
    /// # Errors
    /// When the library cannot write it.
    pub fn to_json(&self) -> Result<String, TokenError> {
        self.inner.to_string(true).map_err(library)
    }

    /// The `tokenizer_config.json` that goes with it.
    pub fn config_json(&self) -> serde_json::Value {
        let token = |id| self.inner.id_to_token(id);
        let mut config = serde_json::json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": token(self.bos),
            "eos_token": token(self.eos),
            "clean_up_tokenization_spaces": false,
        });
        if self.inner.token_to_id(UNK).is_some() {
            config["unk_token"] = UNK.into();
        }
        if !self.adds_bos {
            config["add_bos_token"] = false.into();
        }
        config
    }

    pub(crate) fn inner(&self) -> &tokenizers::Tokenizer {
        &self.inner
    }

    /// The text of an entry, as the vocabulary has it.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether there is an entry of this text.
    pub fn knows(&self, token: &str) -> bool {
        self.inner.token_to_id(token).is_some()
    }

    /// Entries that text never becomes: special tokens.
    pub(crate) fn control_tokens(&self) -> Vec<ControlToken> {
        let added = self.inner.get_added_tokens_decoder();
        let special = added.into_iter().filter(|(_, token)| token.special);
        let control = |(id, token): (u32, AddedToken)| ControlToken {
            id,
            text: token.content,
            strips_left: token.lstrip,
            strips_right: token.rstrip,
        };
        special.map(control).filter(|control| !control.text.is_empty()).collect()
    }

    /// Number of entries, special tokens included.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Id that begins a document.
    pub fn bos(&self) -> u32 {
        self.bos
    }

    /// Id that ends a document.
    pub fn eos(&self) -> u32 {
        self.eos
    }

    /// Whether a text that is continued has [`Self::bos`] before it.
    pub fn adds_bos(&self) -> bool {
        self.adds_bos
    }

    /// Ids of a text, without document borders.
    ///
    /// # Errors
    /// When the library fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenError> {
        Ok(self.inner.encode_fast(text, false).map_err(library)?.get_ids().to_vec())
    }

    /// What encodes many texts, several times as fast; each thread has one of its own.
    pub fn encoder(&self) -> Encoder<'_> {
        let tables = || {
            let json = serde_json::from_str(&self.to_json().ok()?).ok()?;
            Fast::new(&json).map(Arc::new)
        };
        Encoder::new(self, self.fast.get_or_init(tables).as_deref())
    }

    /// Ids with what the library knows of them.
    pub(crate) fn encoding(&self, text: &str) -> Result<tokenizers::Encoding, TokenError> {
        self.inner.encode(text, false).map_err(library)
    }

    /// Ids of a document: what ends one after it, and what begins one before it where the tokenizer has that.
    ///
    /// # Errors
    /// When the library fails.
    pub fn encode_document(&self, text: &str) -> Result<Vec<u32>, TokenError> {
        let mut ids: Vec<u32> = if self.adds_bos { vec![self.bos] } else { Vec::new() };
        ids.extend(self.encode(text)?);
        ids.push(self.eos);
        Ok(ids)
    }

    /// Text of ids; special tokens are left out, and bytes that form no character become U+FFFD.
    ///
    /// # Errors
    /// When the library fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TokenError> {
        self.inner.decode(ids, true).map_err(library)
    }
}

fn library(error: tokenizers::Error) -> TokenError {
    TokenError::Library(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 3] =
        ["the cat sat on the mat, the cat sat", "a cat and a mat \u{1f408} and a hat", "\n\tthe hat\r\n"];

    fn trained() -> Tokenizer {
        Tokenizer::train_bpe(TEXTS.into_iter(), 270).unwrap()
    }

    #[test]
    fn any_text_comes_back() {
        let tokenizer = trained();
        for text in TEXTS.into_iter().chain(["", "\u{0}\u{7f}", "unseen: \u{4f60}\u{597d}", "  two  spaces "]) {
            assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), text);
        }
        assert!(tokenizer.encode("the cat").unwrap().len() < "the cat".len());
    }

    #[test]
    fn training_and_reading_back_are_exact() {
        let (a, b) = (trained(), trained());
        assert_eq!(a.to_json().unwrap(), b.to_json().unwrap());
        let read = Tokenizer::from_json(a.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!(read.encode(TEXTS[0]).unwrap(), a.encode(TEXTS[0]).unwrap());
        assert_eq!((read.vocab_size(), read.bos(), read.eos()), (270, 1, 2));
    }

    #[test]
    fn special_tokens_in_a_text_are_characters() {
        let tokenizer = trained();
        let ids = tokenizer.encode_document("a </s> b").unwrap();
        assert_eq!(ids.iter().filter(|&&id| id == tokenizer.eos()).count(), 1);
        assert_eq!(tokenizer.decode(&ids).unwrap(), "a </s> b");
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for size in [10, 100_000] {
            let error = Tokenizer::train_bpe(TEXTS.into_iter(), size).unwrap_err();
            assert!(error.is_request() && error.to_string().contains(&size.to_string()), "{error}");
        }
        assert!(Tokenizer::from_json(b"{}").is_err());
    }
}
