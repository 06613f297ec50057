//! Continuing a prompt with a model's folder or GGUF file.

use std::path::PathBuf;

use tutelage_generate::{Generator, Sampling, StopReason};
use tutelage_run::StopFlag;
use tutelage_tensor::Precision;
use tutelage_token::{Chat, TokenError};

use crate::{EngineChoice, RecipeError, gguf};

/// What to continue, and how.
#[derive(Debug, Clone)]
pub struct GenerateRequest {
    /// The model's folder, or a GGUF file.
    pub model: PathBuf,
    /// What to write after.
    pub prompt: Prompt,
    /// Most tokens to write.
    pub max_tokens: usize,
    /// Divides the logits; zero takes the most likely token always.
    pub temperature: f64,
    /// Only the most likely so many; zero for all.
    pub top_k: usize,
    /// Only the most likely that together reach this mass.
    pub top_p: f64,
    /// Seed of the draws.
    pub seed: u64,
    /// What to compute with.
    pub engine: EngineChoice,
}

/// What to write after.
#[derive(Debug, Clone)]
pub enum Prompt {
    /// A text, which is continued.
    Text(String),
    /// A chat, which is answered.
    Chat {
        /// Messages: JSON, an array of objects with `role` and `content`.
        messages: String,
        /// Tools: JSON, an array of function schemas.
        tools: Option<String>,
        /// Seconds since 1970, for templates that ask for the date.
        now: i64,
    },
}

/// Continues the prompt, or answers the chat; `show` is given the text as it comes. Returns why it ended.
///
/// # Errors
/// When the folder is no whole model, or the prompt does not fit into it.
pub fn continue_text(
    request: &GenerateRequest,
    stop: &StopFlag,
    show: &mut dyn FnMut(&str),
) -> Result<&'static str, RecipeError> {
    let sampling = Sampling {
        max_tokens: request.max_tokens,
        temperature: request.temperature,
        top_k: request.top_k,
        top_p: request.top_p,
        seed: request.seed,
    };
    sampling.validate()?;
    let generator = match gguf::is_gguf(&request.model) {
        true => gguf::generator(&request.model, &request.engine)?,
        false => Generator::open(&request.model, &request.engine.device()?, Precision::Bf16)?,
    };
    let reason = match &request.prompt {
        Prompt::Text(text) => generator.continue_text(text, &sampling, stop, show)?,
        Prompt::Chat { messages, tools, now } => {
            let wrong = |error: TokenError| RecipeError::request(error.to_string());
            let mut chat = Chat::from_json(messages).map_err(wrong)?;
            chat.now = *now;
            if let Some(tools) = tools {
                chat = chat.with_tools(tools).map_err(wrong)?;
            }
            generator.answer(&chat, &sampling, stop, show)?
        }
    };
    Ok(match reason {
        StopReason::EndOfDocument => "end_of_document",
        StopReason::MaxTokens => "max_tokens",
        StopReason::ContextFull => "context_full",
        StopReason::Stopped => "stopped",
    })
}
