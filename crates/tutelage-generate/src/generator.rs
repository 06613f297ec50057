//! A model, its tokenizer and its chat template.

use std::path::Path;
use std::sync::OnceLock;

use tutelage_model::Decoder;
use tutelage_tensor::{Device, Precision};
use tutelage_token::{Chat, ChatTemplate, Spelling, Tokenizer};

use crate::constraint::Grammars;
use crate::folder::{read_chat_template, read_tokenizer};
use crate::{Constraint, GenerateError, Grammar};

/// A model with its tokenizer.
#[derive(Debug)]
pub struct Generator {
    model: Decoder,
    tokenizer: Tokenizer,
    chat_template: Option<String>,
    /// What its tokens stand for; worked out when first asked for.
    spellings: OnceLock<Vec<Spelling>>,
    /// Made for the first text that is constrained.
    grammars: OnceLock<Grammars>,
}

impl Generator {
    /// A model with its tokenizer, which must have at most as many entries as the model has rows, and its chat template.
    ///
    /// # Errors
    /// When they do not fit, or the model has no output layer for text.
    pub fn new(mut model: Decoder, tokenizer: Tokenizer, chat_template: Option<String>) -> Result<Self, GenerateError> {
        if model.config().options.reward {
            let found = "this is a reward model: it gives a text a number, and writes none";
            return Err(GenerateError::Request(found.to_owned()));
        }
        let (rows, entries) = (model.config().vocab_size, tokenizer.vocab_size());
        if entries > rows {
            let found =
                format!("the tokenizer has {entries} entries, the model {rows}; they belong to different models");
            return Err(GenerateError::Request(found));
        }
        model.params_mut().serve();
        Ok(Self { model, tokenizer, chat_template, spellings: OnceLock::new(), grammars: OnceLock::new() })
    }

    /// Reads a model's folder.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub fn open(folder: &Path, device: &Device, precision: Precision) -> Result<Self, GenerateError> {
        let model = Decoder::load_frozen(folder, device, precision)?;
        let tokenizer = read_tokenizer(folder)?;
        Self::new(model, tokenizer, read_chat_template(folder)?)
    }

    /// The model.
    pub fn model(&self) -> &Decoder {
        &self.model
    }

    /// Most tokens of a prompt and its text.
    pub fn n_positions(&self) -> usize {
        self.model.config().n_positions()
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// What its tokens stand for, by id.
    pub fn spellings(&self) -> &[Spelling] {
        self.spellings.get_or_init(|| self.tokenizer.spellings())
    }

    /// Whether a prompt of these ids can be continued by so many tokens, or looked at.
    ///
    /// # Errors
    /// When it is empty, holds an id that the model does not have, or does not fit into the model.
    pub(crate) fn check_prompt(&self, prompt: &[u32], max_tokens: usize) -> Result<(), GenerateError> {
        let fault = |found: String| Err(GenerateError::Request(found));
        let (n, rows, positions) = (prompt.len(), self.model.config().vocab_size, self.n_positions());
        if n == 0 {
            return fault("the prompt has no tokens".to_owned());
        }
        if let Some(id) = prompt.iter().find(|&&id| id as usize >= rows) {
            return fault(format!("the prompt holds token {id}, the model has {rows} rows"));
        }
        if n > positions || n == positions && max_tokens > 0 {
            return fault(format!("the prompt has {n} tokens where the model has {positions} positions"));
        }
        Ok(())
    }

    /// Ids of a text to continue.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn prompt(&self, text: &str) -> Result<Vec<u32>, GenerateError> {
        let mut ids = self.tokenizer.encode(text)?;
        // A model continues something.
        if self.tokenizer.adds_bos() || ids.is_empty() {
            ids.insert(0, self.tokenizer.bos());
        }
        Ok(ids)
    }

    /// Ids of a chat to answer, by the model's template; one without gets ChatML if its tokenizer knows `<|im_start|>`.
    ///
    /// # Errors
    /// When the template refuses the chat, or there is none.
    pub fn chat_prompt(&self, chat: &Chat) -> Result<Vec<u32>, GenerateError> {
        let template = match &self.chat_template {
            Some(source) => ChatTemplate::new(source, &self.tokenizer)?,
            None if self.tokenizer.knows("<|im_start|>") => ChatTemplate::chatml(&self.tokenizer)?,
            None => {
                let found = "the model has no chat template (chat_template in tokenizer_config.json, or \
                             chat_template.jinja), and its tokenizer does not know ChatML's <|im_start|>";
                return Err(GenerateError::Request(found.to_owned()));
            }
        };
        Ok(template.encode(chat, &self.tokenizer)?)
    }

    /// What a text must be, for [`Request::constraint`](crate::Request::constraint).
    ///
    /// # Errors
    /// When the grammar is wrong, or too large.
    pub fn constraint(&self, grammar: &Grammar) -> Result<Constraint, GenerateError> {
        let grammars = match self.grammars.get() {
            Some(grammars) => grammars,
            None => {
                let made = Grammars::new(self.spellings(), self.tokenizer.eos(), &self.end_ids())?;
                self.grammars.get_or_init(|| made)
            }
        };
        grammars.constraint(grammar)
    }

    /// Tokens that end a text, by the tokenizer or by the model.
    fn end_ids(&self) -> Vec<u32> {
        let config = self.model.config();
        let mut ids = [&[self.tokenizer.eos(), config.eos][..], &config.more_eos].concat();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// How many there are.
    pub(crate) fn n_ends(&self) -> usize {
        self.end_ids().len()
    }

    /// Whether a token is one of them.
    pub(crate) fn ends(&self, id: u32) -> bool {
        let config = self.model.config();
        id == self.tokenizer.eos() || id == config.eos || config.more_eos.contains(&id)
    }
}
