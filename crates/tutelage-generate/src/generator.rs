//! Continuing a text.

use std::path::Path;

use tutelage_model::{Cache, Decoder};
use tutelage_run::{RandomStream, StopFlag};
use tutelage_tensor::{Device, Precision};
use tutelage_token::{Chat, ChatTemplate, Decoder as TextDecoder, Tokenizer};

use crate::folder::{read_chat_template, read_tokenizer};
use crate::{GenerateError, Sampling};

/// A model with its tokenizer.
#[derive(Debug)]
pub struct Generator {
    model: Decoder,
    tokenizer: Tokenizer,
    chat_template: Option<String>,
}

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The model ended the document.
    EndOfDocument,
    /// As many tokens as asked for.
    MaxTokens,
    /// No position is left in the model.
    ContextFull,
    /// Asked to stop.
    Stopped,
}

impl Generator {
    /// A model with its tokenizer, which must have at most as many entries as the model has rows, and its chat template.
    ///
    /// # Errors
    /// When they do not fit, or the model has no output layer for text.
    pub fn new(model: Decoder, tokenizer: Tokenizer, chat_template: Option<String>) -> Result<Self, GenerateError> {
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
        Ok(Self { model, tokenizer, chat_template })
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

    /// Continues `prompt`; `show` is given the text as it comes.
    ///
    /// # Errors
    /// When the prompt does not fit into the model's positions.
    pub fn continue_text(
        &self,
        prompt: &str,
        sampling: &Sampling,
        stop: &StopFlag,
        show: &mut dyn FnMut(&str),
    ) -> Result<StopReason, GenerateError> {
        let mut ids = self.tokenizer.encode(prompt)?;
        // A model continues something.
        if self.tokenizer.adds_bos() || ids.is_empty() {
            ids.insert(0, self.tokenizer.bos());
        }
        self.continue_ids(ids, sampling, stop, show)
    }

    /// Answers a chat, by the model's template; one without gets ChatML if its tokenizer knows `<|im_start|>`.
    ///
    /// # Errors
    /// When the template refuses the chat, there is none, or the chat does not fit into the model's positions.
    pub fn answer(
        &self,
        chat: &Chat,
        sampling: &Sampling,
        stop: &StopFlag,
        show: &mut dyn FnMut(&str),
    ) -> Result<StopReason, GenerateError> {
        let template = match &self.chat_template {
            Some(source) => ChatTemplate::new(source, &self.tokenizer)?,
            None if self.tokenizer.knows("<|im_start|>") => ChatTemplate::chatml(&self.tokenizer)?,
            None => {
                let found = "the model has no chat template (chat_template in tokenizer_config.json, or \
                             chat_template.jinja), and its tokenizer does not know ChatML's <|im_start|>";
                return Err(GenerateError::Request(found.to_owned()));
            }
        };
        self.continue_ids(template.encode(chat, &self.tokenizer)?, sampling, stop, show)
    }

    fn continue_ids(
        &self,
        mut ids: Vec<u32>,
        sampling: &Sampling,
        stop: &StopFlag,
        show: &mut dyn FnMut(&str),
    ) -> Result<StopReason, GenerateError> {
        sampling.validate()?;
        let positions = self.model.config().n_positions();
        if ids.len() >= positions {
            let found = format!("the prompt has {} tokens where the model has {positions} positions", ids.len());
            return Err(GenerateError::Request(found));
        }
        let mut cache = self.model.new_cache(ids.len().saturating_add(sampling.max_tokens));
        let mut random = RandomStream::new(sampling.seed, "sampling");
        let mut text = TextDecoder::new(&self.tokenizer);
        let mut reason = StopReason::MaxTokens;
        for _ in 0..sampling.max_tokens {
            if stop.is_raised() {
                reason = StopReason::Stopped;
                break;
            }
            if cache.len() + ids.len() > cache.capacity() {
                reason = StopReason::ContextFull;
                break;
            }
            let id = sampling.draw(&self.next_logits(&ids, &mut cache), &mut random);
            if self.ends(id) {
                reason = StopReason::EndOfDocument;
                break;
            }
            show(&text.push(id)?);
            ids = vec![id];
        }
        show(&text.finish()?);
        Ok(reason)
    }

    /// Whether a token ends the text, by the tokenizer or by the model.
    fn ends(&self, id: u32) -> bool {
        let config = self.model.config();
        id == self.tokenizer.eos() || id == config.eos || config.more_eos.contains(&id)
    }

    fn next_logits(&self, ids: &[u32], cache: &mut Cache) -> Vec<f32> {
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        let hidden = self.model.continue_hidden(&ids, cache);
        let last = hidden.last_row(self.model.params().device());
        let mut logits = self.model.logits(last).to_vec();
        // Rows beyond the tokenizer's entries stand for nothing.
        logits.truncate(self.tokenizer.vocab_size());
        logits
    }
}
