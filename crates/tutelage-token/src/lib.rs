//! Tokenizers: train, encode, decode.
//!
//! # Tour
//! - [`Tokenizer::train_bpe`] learns a byte-level BPE (GPT-2's pre-tokenization) with the `tokenizers`
//!   library; [`Tokenizer::to_json`] is the `tokenizer.json` that Hugging Face's libraries read.
//! - [`Tokenizer::encode_document`] is the one form in which a document is seen in training:
//!   `<s> text </s>`. Special tokens that stand in the text as characters are encoded as characters.
//! - [`Tokenizer::build`] is InternLM2's construction: part of a base, tokens for another language, spare slots.
//! - [`Tokenizer::spellings`]: what each entry stands for, in bytes.
//! - [`Tokenizer::encoder`]: the same ids for many texts, several times as fast.
//! - [`Decoder`] turns tokens into text as they come, never cutting a character.
//!
//! This crate does not touch files; callers bring bytes and take strings.

mod build;
mod chat;
mod decoder;
mod error;
mod fast;
mod pre;
mod sentencepiece;
mod spelling;
mod tiktoken;
mod tokenizer;
mod vocabulary;

pub use build::BuildSizes;
pub use chat::{Chat, ChatTemplate};
pub use decoder::Decoder;
pub use error::TokenError;
pub use fast::Encoder;
pub use spelling::Spelling;
pub use tokenizer::{BOS, EOS, MIN_VOCAB, Tokenizer, UNK};
pub use vocabulary::{Vocabulary, VocabularyKind};
