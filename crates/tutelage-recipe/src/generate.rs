//! Continuing a prompt with a model's folder or GGUF file.

use std::path::PathBuf;

use tutelage_generate::{Generator, Sampling, StopReason};
use tutelage_run::StopFlag;
use tutelage_tensor::Precision;

use crate::{EngineChoice, RecipeError, gguf};

/// What to continue, and how.
#[derive(Debug, Clone)]
pub struct GenerateRequest {
    /// The model's folder, or a GGUF file.
    pub model: PathBuf,
    /// The text to continue.
    pub prompt: String,
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

/// Continues the prompt; `show` is given the text as it comes. Returns why it ended.
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
    Ok(match generator.continue_text(&request.prompt, &sampling, stop, show)? {
        StopReason::EndOfDocument => "end_of_document",
        StopReason::MaxTokens => "max_tokens",
        StopReason::ContextFull => "context_full",
        StopReason::Stopped => "stopped",
    })
}
