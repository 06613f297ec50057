//! Log-probabilities, in the form of completions and in that of chats.

use serde_json::{Map, Value, json};
use tutelage_generate::TokenLogprobs;

use super::app::Model;

/// Characters that a token begins: parts of a character count once.
fn n_characters(model: &Model, id: u32) -> usize {
    match model.spellings.get(id as usize) {
        Some(tutelage_token::Spelling::Bytes(bytes)) => bytes.iter().filter(|&&byte| byte & 0xc0 != 0x80).count(),
        _ => 0,
    }
}

/// As completions have them. Tokens and where they begin in the text.
#[derive(Debug)]
pub(super) struct LegacyLogprobs<'m> {
    model: &'m Model,
    /// Whether tokens stand as `token_id:N`, of which no two are the same.
    ids: bool,
    offset: usize,
    tokens: Vec<String>,
    token_logprobs: Vec<Value>,
    top_logprobs: Vec<Value>,
    text_offset: Vec<usize>,
}

impl<'m> LegacyLogprobs<'m> {
    /// Before the first token; the text begins at this character.
    pub(super) fn new(model: &'m Model, ids: bool, offset: usize) -> Self {
        let (tokens, token_logprobs, top_logprobs, text_offset) = Default::default();
        Self { model, ids, offset, tokens, token_logprobs, top_logprobs, text_offset }
    }

    /// The tokens of a prompt; nothing is known of the first.
    pub(super) fn prompt(&mut self, ids: &[u32], logprobs: &[TokenLogprobs]) {
        for (at, &id) in ids.iter().enumerate() {
            self.push(id, at.checked_sub(1).and_then(|at| logprobs.get(at)));
        }
    }

    pub(super) fn push(&mut self, id: u32, logprobs: Option<&TokenLogprobs>) {
        self.tokens.push(self.name(id));
        self.text_offset.push(self.offset);
        self.offset += n_characters(self.model, id);
        self.token_logprobs.push(logprobs.map_or(Value::Null, |found| number(found.logprob)));
        self.top_logprobs.push(logprobs.map_or(Value::Null, |found| {
            let mut top = Map::new();
            for (id, logprob) in &found.top {
                // Two tokens may read the same: the more likely one comes first.
                top.entry(self.name(*id)).or_insert_with(|| number(*logprob));
            }
            Value::Object(top)
        }));
    }

    fn name(&self, id: u32) -> String {
        if self.ids { format!("token_id:{id}") } else { self.model.shown(id) }
    }

    /// The character after the last token.
    pub(super) fn end(&self) -> usize {
        self.offset
    }

    pub(super) fn json(self) -> Value {
        json!({
            "tokens": self.tokens,
            "token_logprobs": self.token_logprobs,
            "top_logprobs": self.top_logprobs,
            "text_offset": self.text_offset,
        })
    }
}

/// A number that JSON has: what is impossible is very unlikely.
fn number(logprob: f64) -> Value {
    json!(if logprob.is_finite() { logprob } else { -9999.0 })
}

/// A token as chats have it.
pub(super) fn chat_token(model: &Model, logprobs: &TokenLogprobs) -> Value {
    let one = |id: u32, logprob: f64| {
        let bytes = model.spellings.get(id as usize).map(|spelling| spelling.bytes().to_vec());
        json!({ "token": model.shown(id), "logprob": number(logprob), "bytes": bytes })
    };
    let mut token = one(logprobs.id, logprobs.logprob);
    token["top_logprobs"] = logprobs.top.iter().map(|&(id, logprob)| one(id, logprob)).collect();
    token
}
