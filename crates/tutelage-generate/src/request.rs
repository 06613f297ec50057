//! What is asked of an engine, and what it answers.

use crate::{Constraint, Sampling, TokenLogprobs};

/// A text to continue.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is continued.
    pub prompt: Vec<u32>,
    /// Most tokens to write; zero to look at the prompt alone.
    pub max_tokens: usize,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Continuations that are drawn, each with a stream of random numbers of its own.
    pub n_samples: usize,
    /// Texts that end the text; they are not shown.
    pub stop: Vec<String>,
    /// Tokens that end the text, beside the model's own.
    pub stop_ids: Vec<u32>,
    /// Whether the model's own tokens that end a text are tokens like others.
    pub ignores_end: bool,
    /// Whether log-probabilities of the tokens drawn are wanted, with those of so many of the most likely.
    pub logprobs: Option<usize>,
    /// The same of the prompt's tokens after the first.
    pub prompt_logprobs: Option<usize>,
    /// What the text must be.
    pub constraint: Option<Constraint>,
    /// Whether the mean of the prompt's last hidden states is wanted.
    pub embeds: bool,
}

impl Request {
    /// One continuation, with the usual sampling.
    pub fn new(prompt: Vec<u32>, max_tokens: usize) -> Self {
        Self {
            prompt,
            max_tokens,
            sampling: Sampling::default(),
            n_samples: 1,
            stop: Vec::new(),
            stop_ids: Vec::new(),
            ignores_end: false,
            logprobs: None,
            prompt_logprobs: None,
            constraint: None,
            embeds: false,
        }
    }
}

/// The number of a request, as an engine counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u64);

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The model ended it, or nothing can follow what the text must be.
    EndOfDocument,
    /// A stop string, or a token that the request names.
    Stop,
    /// As many tokens as asked for.
    MaxTokens,
    /// No position is left in the model.
    ContextFull,
    /// What the text must be became too much to keep track of; the text is a part of it.
    ConstraintFailed,
    /// Asked to stop.
    Stopped,
}

impl StopReason {
    /// As it is written.
    pub fn name(&self) -> &'static str {
        match self {
            StopReason::EndOfDocument => "end_of_document",
            StopReason::Stop => "stop",
            StopReason::MaxTokens => "max_tokens",
            StopReason::ContextFull => "context_full",
            StopReason::ConstraintFailed => "constraint_failed",
            StopReason::Stopped => "stopped",
        }
    }
}

/// What happened in a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Log-probabilities of the prompt, which were asked for.
    Prompt {
        /// Whose.
        request: RequestId,
        /// Of each token after the first.
        logprobs: Vec<TokenLogprobs>,
    },
    /// The mean of the prompt's last hidden states, after the last norm, which was asked for.
    Embedding {
        /// Whose.
        request: RequestId,
        /// As many numbers as the model is wide.
        mean_d: Vec<f32>,
    },
    /// A token was drawn.
    Token {
        /// Of which request.
        request: RequestId,
        /// Of which sample.
        sample: usize,
        /// The token.
        id: u32,
        /// How likely it was, if that was asked for.
        logprobs: Option<TokenLogprobs>,
        /// Text that can be shown now.
        text: String,
    },
    /// A sample is done.
    Done {
        /// Of which request.
        request: RequestId,
        /// Which one.
        sample: usize,
        /// Why.
        reason: StopReason,
        /// Text that was held back until now.
        text: String,
        /// Tokens drawn.
        n_tokens: usize,
    },
}

impl Event {
    /// Which request it is about.
    pub fn request(&self) -> RequestId {
        match self {
            Event::Prompt { request, .. }
            | Event::Embedding { request, .. }
            | Event::Token { request, .. }
            | Event::Done { request, .. } => *request,
        }
    }
}
