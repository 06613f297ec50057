//! Encoding many texts: the same ids as the library's, several times as fast, for the forms of BPE that most models have. Texts and
//! tokenizers of other forms go through the library.
//!
//! - Bytes: texts are divided by hand-written patterns ([`split`]), words that were seen before are looked up ([`cache`]).
//! - Characters with bytes to fall back on (SentencePiece's): a text is cut wherever no merge joins the characters on both sides, so
//!   no token could lie across; what is between is looked up or merged by itself.

mod added;
mod cache;
mod classes;
mod merges;
mod split;
#[cfg(test)]
mod tests;

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;

use crate::{TokenError, Tokenizer, pre, tiktoken};
use added::Added;
use cache::{CachedWord, WordCache};
use classes::Classes;
use merges::{MergeMemory, Merges};
use split::Split;

/// Tables of a tokenizer.
#[derive(Debug)]
pub(crate) struct Fast {
    merges: Merges,
    form: Form,
    added: Added,
    /// Whole words, where one that is an entry is not merged.
    words: Option<FxHashMap<Box<[u8]>, u32>>,
}

#[derive(Debug)]
enum Form {
    Bytes {
        split: Split,
        classes: Box<Classes>,
        /// Of each byte; some vocabularies have none for bytes that hardly ever occur.
        ids: Box<[u32; 256]>,
        /// Whether texts are normalised first; those that are not go through the library.
        nfc: bool,
    },
    Characters(Box<Characters>),
}

#[derive(Debug)]
struct Characters {
    ids: FxHashMap<char, u32>,
    bytes: [u32; 256],
    prefix: bool,
    joins: Joins,
}

/// Pairs of characters that some merge joins.
#[derive(Debug, Default)]
struct Joins {
    ascii: Vec<u128>,
    others: FxHashSet<u64>,
}

/// Of bytes without an entry: a text that has one goes through the library.
const ABSENT: u32 = u32::MAX;

/// Stands for a space.
const SPACE: char = '\u{2581}';

impl Joins {
    fn insert(&mut self, left: char, right: char) {
        match (left.is_ascii(), right.is_ascii()) {
            (true, true) => self.ascii[left as usize] |= 1 << u32::from(right),
            _ => {
                self.others.insert(pair(left, right));
            }
        }
    }

    #[inline]
    fn has(&self, left: char, right: char) -> bool {
        match (left.is_ascii(), right.is_ascii()) {
            (true, true) => self.ascii[left as usize] >> u32::from(right) & 1 == 1,
            _ => self.others.contains(&pair(left, right)),
        }
    }
}

fn pair(left: char, right: char) -> u64 {
    u64::from(u32::from(left)) << 32 | u64::from(u32::from(right))
}

fn is_absent(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("") || value.as_f64() == Some(0.0) || value.as_bool() == Some(false)
}

impl Fast {
    /// Tables for what a `tokenizer.json` says; nothing if it is of another form.
    pub(crate) fn new(json: &Value) -> Option<Self> {
        let model = &json["model"];
        let is_bpe = model["type"] == "BPE" || model["type"].is_null() && model["merges"].is_array();
        let plain =
            ["dropout", "continuing_subword_prefix", "end_of_word_suffix"].iter().all(|name| is_absent(&model[name]));
        if !is_bpe || !plain || !is_absent(&json["truncation"]) || !is_absent(&json["padding"]) {
            return None;
        }
        let vocab: FxHashMap<&str, u32> = model["vocab"]
            .as_object()?
            .iter()
            .map(|(token, id)| Some((&token[..], u32::try_from(id.as_u64()?).ok()?)))
            .collect::<Option<_>>()?;
        let merged = merged(&model["merges"], &vocab)?;
        let mut merges = Merges::default();
        for (rank, &(left, right, id)) in merged.iter().enumerate() {
            merges.insert((vocab[left], vocab[right]), u32::try_from(rank).ok()?, id);
        }
        let added = Added::new(&json["added_tokens"])?;
        let ignores = model["ignore_merges"] == true;
        let form = match model["byte_fallback"] == true {
            false => bytes(json, &vocab)?,
            true if ignores => return None,
            true => characters(json, &vocab, &merged)?,
        };
        let words = ignores.then(|| words(&vocab));
        Some(Self { merges, form, added, words })
    }
}

/// Left, right, and what they become.
fn merged<'v>(merges: &'v Value, vocab: &FxHashMap<&str, u32>) -> Option<Vec<(&'v str, &'v str, u32)>> {
    let one = |merge: &'v Value| {
        let (left, right) = match merge {
            Value::String(text) => text.split_once(' ')?,
            Value::Array(parts) => match &parts[..] {
                [left, right] => (left.as_str()?, right.as_str()?),
                _ => return None,
            },
            _ => return None,
        };
        let known = vocab.contains_key(left) && vocab.contains_key(right);
        let id = *vocab.get(&[left, right].concat()[..])?;
        known.then_some((left, right, id))
    };
    merges.as_array()?.iter().map(one).collect()
}

fn bytes(json: &Value, vocab: &FxHashMap<&str, u32>) -> Option<Form> {
    let split = Split::named(pre::name_of(&json["pre_tokenizer"])?)?;
    let nfc = match &json["normalizer"] {
        Value::Null => false,
        normalizer if normalizer["type"] == "NFC" => true,
        _ => return None,
    };
    let mut ids = Box::new([0; 256]);
    for (c, id) in tiktoken::alphabet().into_iter().zip(ids.iter_mut()) {
        *id = vocab.get(c.encode_utf8(&mut [0; 4]) as &str).copied().unwrap_or(ABSENT);
    }
    Some(Form::Bytes { split, classes: Box::new(Classes::new().ok()?), ids, nfc })
}

fn characters(json: &Value, vocab: &FxHashMap<&str, u32>, merged: &[(&str, &str, u32)]) -> Option<Form> {
    if !json["pre_tokenizer"].is_null() {
        return None;
    }
    let steps = match &json["normalizer"] {
        Value::Null => return None,
        normalizer if normalizer["type"] == "Sequence" => normalizer["normalizers"].as_array()?.clone(),
        normalizer => vec![normalizer.clone()],
    };
    let space = SPACE.to_string();
    let is_prefix = |step: &Value| step["type"] == "Prepend" && step["prepend"] == space[..];
    let is_spaces =
        |step: &Value| step["type"] == "Replace" && step["pattern"]["String"] == " " && step["content"] == space[..];
    let prefix = match &steps[..] {
        [only] if is_spaces(only) => false,
        [first, second] if is_prefix(first) && is_spaces(second) => true,
        _ => return None,
    };
    let mut bytes = [0; 256];
    for (byte, id) in (0u8..=255).zip(&mut bytes) {
        *id = *vocab.get(&format!("<0x{byte:02X}>")[..])?;
    }
    let mut joins = Joins { ascii: vec![0; 128], ..Joins::default() };
    for (left, right, _) in merged {
        // Bytes that stand for characters without an entry are never merged.
        if [left, right].iter().any(|part| bytes.contains(&vocab[*part])) {
            return None;
        }
        joins.insert(left.chars().next_back()?, right.chars().next()?);
    }
    let one = |(token, id): (&&str, &u32)| {
        let mut chars = token.chars();
        chars.next().filter(|_| chars.next().is_none()).map(|c| (c, *id))
    };
    let ids = vocab.iter().filter_map(one).collect();
    Some(Form::Characters(Box::new(Characters { ids, bytes, prefix, joins })))
}

fn words(vocab: &FxHashMap<&str, u32>) -> FxHashMap<Box<[u8]>, u32> {
    let byte_of: FxHashMap<char, u8> = tiktoken::alphabet().into_iter().zip(0..=255).collect();
    let of = |(token, id): (&&str, &u32)| {
        let bytes: Option<Vec<u8>> = token.chars().map(|c| byte_of.get(&c).copied()).collect();
        Some((bytes?.into_boxed_slice(), *id))
    };
    vocab.iter().filter_map(of).collect()
}

/// Encodes texts, one after the other; a thread has its own.
#[derive(Debug)]
pub struct Encoder<'t> {
    tokenizer: &'t Tokenizer,
    fast: Option<&'t Fast>,
    memory: Memory,
}

#[derive(Debug, Default)]
struct Memory {
    cache: WordCache,
    merging: MergeMemory,
    ids: Vec<u32>,
    text: String,
    met_absent: bool,
}

impl<'t> Encoder<'t> {
    pub(crate) fn new(tokenizer: &'t Tokenizer, fast: Option<&'t Fast>) -> Self {
        Self { tokenizer, fast, memory: Memory::default() }
    }

    /// Whether texts go another way than through the library.
    pub fn is_fast(&self) -> bool {
        self.fast.is_some()
    }

    /// Appends the ids of a text, without document borders: those of [`Tokenizer::encode`].
    ///
    /// # Errors
    /// When the library fails.
    pub fn encode(&mut self, text: &str, out: &mut Vec<u32>) -> Result<(), TokenError> {
        if let Some(fast) = self.fast
            && fast.takes(text)
        {
            let before = out.len();
            self.memory.met_absent = false;
            fast.added.each(text, |part| match part {
                Ok(part) => fast.encode(part, &mut self.memory, out),
                Err(id) => out.push(id),
            });
            if !self.memory.met_absent {
                return Ok(());
            }
            out.truncate(before);
        }
        out.extend(self.tokenizer.encode(text)?);
        Ok(())
    }

    /// Appends the ids of a document: those of [`Tokenizer::encode_document`].
    ///
    /// # Errors
    /// When the library fails.
    pub fn encode_document(&mut self, text: &str, out: &mut Vec<u32>) -> Result<(), TokenError> {
        if self.tokenizer.adds_bos() {
            out.push(self.tokenizer.bos());
        }
        self.encode(text, out)?;
        out.push(self.tokenizer.eos());
        Ok(())
    }
}

impl Fast {
    fn takes(&self, text: &str) -> bool {
        let is_normal = match &self.form {
            Form::Bytes { nfc: true, .. } => {
                text.is_ascii()
                    || unicode_normalization::is_nfc_quick(text.chars()) == unicode_normalization::IsNormalized::Yes
            }
            _ => true,
        };
        is_normal && self.added.takes(text)
    }

    fn encode(&self, text: &str, memory: &mut Memory, out: &mut Vec<u32>) {
        match &self.form {
            Form::Bytes { split, classes, ids, .. } => split.each(classes, text, |piece| {
                self.word(piece, memory, out, |piece, out| {
                    out.extend(piece.iter().map(|&byte| ids[usize::from(byte)]))
                });
            }),
            Form::Characters(characters) => {
                let mut written = std::mem::take(&mut memory.text);
                written.clear();
                if characters.prefix && !text.is_empty() {
                    written.push(SPACE);
                }
                text.chars().for_each(|c| written.push(if c == ' ' { SPACE } else { c }));
                characters.each(&written, |piece| {
                    self.word(piece.as_bytes(), memory, out, |_, out| characters.symbols(piece, out));
                });
                memory.text = written;
            }
        }
    }

    /// Appends the ids of a word, which begins as what `symbols` makes of it.
    #[inline]
    fn word(&self, word: &[u8], memory: &mut Memory, out: &mut Vec<u32>, symbols: impl Fn(&[u8], &mut Vec<u32>)) {
        let cached = CachedWord::new(word);
        if let Some(ids) = cached.as_ref().and_then(|cached| memory.cache.get(cached)) {
            out.extend_from_slice(ids);
            return;
        }
        let Memory { cache, merging, ids, met_absent, .. } = memory;
        ids.clear();
        match self.words.as_ref().and_then(|words| words.get(word)) {
            Some(&id) => ids.push(id),
            None => {
                symbols(word, ids);
                if ids.contains(&ABSENT) {
                    *met_absent = true;
                    return;
                }
                self.merges.merge(ids, merging);
            }
        }
        if let Some(cached) = &cached {
            cache.put(cached, ids);
        }
        out.extend_from_slice(ids);
    }
}

impl Characters {
    /// Gives every piece of a text that no token reaches out of.
    fn each<'t>(&self, text: &'t str, mut take: impl FnMut(&'t str)) {
        let mut chars = text.char_indices();
        let Some((_, mut before)) = chars.next() else { return };
        let mut start = 0;
        for (at, c) in chars {
            if !self.joins.has(before, c) {
                take(&text[start..at]);
                start = at;
            }
            before = c;
        }
        take(&text[start..]);
    }

    fn symbols(&self, text: &str, out: &mut Vec<u32>) {
        for c in text.chars() {
            match self.ids.get(&c) {
                Some(&id) => out.push(id),
                None => {
                    let mut bytes = [0; 4];
                    out.extend(c.encode_utf8(&mut bytes).bytes().map(|byte| self.bytes[usize::from(byte)]));
                }
            }
        }
    }
}
