//! Continuing texts and answering chats with a model's folder or GGUF file.

mod chat;
mod file;

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use tutelage_generate::{
    BeamSearch, Constraint, Engine, EngineLimits, Event, Found, GenerateError, Generator, Grammar, Request, Sampling,
    SpeculationStats, StopReason, TokenLogprobs, beam_search, best_first,
};
use tutelage_model::StoredModel;
use tutelage_run::StopFlag;
use tutelage_tensor::Weights;
use tutelage_tensor::kernels::attention::PAGE;
use tutelage_token::{Chat, Decoder as TextDecoder, TokenError};

use crate::stored::Beside;
use crate::{EngineChoice, RecipeError};

pub use chat::ChatSession;
pub use file::{FileRequest, FileStats, continue_file};

/// A model to write with.
#[derive(Debug, Clone)]
pub struct ModelChoice {
    /// Its folder, or a GGUF file.
    pub path: PathBuf,
    /// How its weights are kept.
    pub weights: Weights,
    /// A smaller model of the same vocabulary that proposes what comes next, and how many tokens at a time; it changes no
    /// text.
    pub draft: Option<(PathBuf, usize)>,
}

impl ModelChoice {
    /// An engine for a model that was opened, with the draft model if there is one.
    ///
    /// # Errors
    /// When the draft model is not whole, or of another vocabulary.
    pub fn engine(
        &self,
        generator: &Arc<Generator>,
        limits: EngineLimits,
        choice: &EngineChoice,
    ) -> Result<Engine, RecipeError> {
        let engine = Engine::new(Arc::clone(generator), limits);
        let Some((path, n_ahead)) = &self.draft else { return Ok(engine) };
        let draft = Self { path: path.clone(), draft: None, ..self.clone() };
        Ok(engine.with_draft(Arc::new(open_generator(&draft, choice)?), *n_ahead)?)
    }
}

/// What to continue, and how.
#[derive(Debug, Clone)]
pub struct GenerateRequest {
    /// The model.
    pub model: ModelChoice,
    /// What to write after.
    pub prompt: Prompt,
    /// How.
    pub how: Continuation,
    /// What to compute with.
    pub engine: EngineChoice,
}

/// How to continue.
#[derive(Debug, Clone, PartialEq)]
pub struct Continuation {
    /// Most tokens to write.
    pub max_tokens: usize,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Texts that end the text; they are not shown.
    pub stop: Vec<String>,
    /// Tokens that end the text, beside the model's own.
    pub stop_ids: Vec<u32>,
    /// Continuations of a prompt.
    pub n_samples: usize,
    /// Continuations that are drawn, of which those are kept that the model finds the most likely; as many as are kept, if
    /// nothing is said.
    pub best_of: Option<usize>,
    /// What the text must be.
    pub grammar: Option<Grammar>,
    /// Beams that are followed in place of drawing, and the exponent of the length that their sums are divided by.
    pub beams: Option<(usize, f64)>,
    /// Log-probabilities of the tokens, with those of so many of the most likely.
    pub logprobs: Option<usize>,
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

/// What was written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Written {
    /// The text.
    pub text: String,
    /// Why it ended.
    pub stop_reason: &'static str,
    /// Tokens drawn.
    pub n_tokens: usize,
    /// Its score, if it is one of several beams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// How likely they were, if that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<WrittenToken>,
}

/// The samples of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Continued {
    /// They.
    pub samples: Vec<Written>,
    /// How well a draft model foretold them, if there was one.
    pub speculation: Option<SpeculationStats>,
}

/// A token with its log-probability.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WrittenToken {
    /// As the vocabulary has it.
    pub token: String,
    /// The token, its log-probability, and those of the most likely.
    #[serde(flatten)]
    pub logprobs: TokenLogprobs,
}

/// Opens a model for generation.
///
/// # Errors
/// When it is not whole, or has no tokenizer.
pub fn open_generator(model: &ModelChoice, engine: &EngineChoice) -> Result<Generator, RecipeError> {
    let path = &model.path;
    let stored = StoredModel::open(path)?;
    let Some(Beside { tokenizer, chat_template, .. }) = Beside::read(path)? else {
        let found = "has no tokenizer (tokenizer.json or tokenizer.model)";
        return Err(tutelage_run::FileError::content(path, found).into());
    };
    let decoder = stored.decoder(model.weights.params(&engine.device()?))?;
    Ok(Generator::new(decoder, tokenizer, chat_template)?)
}

impl Prompt {
    fn ids(&self, generator: &Generator) -> Result<Vec<u32>, RecipeError> {
        let wrong = |error: TokenError| RecipeError::request(error.to_string());
        Ok(match self {
            Prompt::Text(text) => generator.prompt(text)?,
            Prompt::Chat { messages, tools, now } => {
                let mut chat = Chat::from_json(messages).map_err(wrong)?;
                chat.now = *now;
                if let Some(tools) = tools {
                    chat = chat.with_tools(tools).map_err(wrong)?;
                }
                generator.chat_prompt(&chat)?
            }
        })
    }
}

impl Continuation {
    /// Checks what does not depend on the model.
    fn validate(&self) -> Result<(), RecipeError> {
        self.sampling.validate()?;
        match self.best_of {
            _ if self.beams.is_some_and(|(width, _)| width < self.n_samples) => {
                let found = format!("{} samples of fewer beams: follow at least as many", self.n_samples);
                Err(RecipeError::request(found))
            }
            Some(n) if n < self.n_samples => {
                let found = format!("best-of {n}: must be at least the number of samples, {}", self.n_samples);
                Err(RecipeError::request(found))
            }
            _ => Ok(()),
        }
    }

    /// A prompt's request, with its constraint if there is one.
    fn request(&self, prompt: Vec<u32>, constraint: Option<&Constraint>) -> Request {
        Request {
            sampling: self.sampling.clone(),
            stop: self.stop.clone(),
            stop_ids: self.stop_ids.clone(),
            n_samples: self.n_drawn(),
            logprobs: if self.chooses() { Some(self.logprobs.unwrap_or(0)) } else { self.logprobs },
            constraint: constraint.cloned(),
            ..Request::new(prompt, self.max_tokens)
        }
    }

    /// What the text must be, for a model.
    fn constraint(&self, generator: &Generator) -> Result<Option<Constraint>, RecipeError> {
        Ok(self.grammar.as_ref().map(|grammar| generator.constraint(grammar)).transpose()?)
    }

    /// Samples of a prompt, chosen or not.
    fn n_drawn(&self) -> usize {
        self.best_of.unwrap_or(self.n_samples)
    }

    /// Whether some of what is drawn is not kept.
    pub fn chooses(&self) -> bool {
        self.n_drawn() > self.n_samples
    }

    /// Those of the samples that are kept.
    fn chosen(&self, mut samples: Vec<Written>) -> Vec<Written> {
        if !self.chooses() {
            return samples;
        }
        let logprobs = |written: &Written| written.logprobs.iter().map(|token| token.logprobs.logprob).collect();
        let order = best_first(&samples.iter().map(logprobs).collect::<Vec<_>>());
        if self.logprobs.is_none() {
            samples.iter_mut().for_each(|written| written.logprobs.clear());
        }
        order.into_iter().take(self.n_samples).map(|at| samples[at].clone()).collect()
    }

    /// Tokens of the cache that all samples of a prompt may take.
    fn cache_tokens(&self, n_prompt: usize, generator: &Generator) -> usize {
        cache_tokens(n_prompt, self.max_tokens, generator).saturating_mul(self.n_drawn().min(MAX_SAMPLES))
    }
}

/// Tokens of the cache that a text may take; each begins a page of its own.
pub(crate) fn cache_tokens(n_prompt: usize, max_tokens: usize, generator: &Generator) -> usize {
    n_prompt.saturating_add(max_tokens).min(generator.model().config().n_positions()) + PAGE
}

/// Samples of one prompt that are written together.
const MAX_SAMPLES: usize = 32;

/// Continues the prompt, or answers the chat; `show` is given the text of the first sample as it comes.
///
/// # Errors
/// When the model is not whole, or the prompt does not fit into it.
pub fn continue_text(
    request: &GenerateRequest,
    stop: &StopFlag,
    show: &mut dyn FnMut(&str),
) -> Result<Continued, RecipeError> {
    request.how.validate()?;
    let generator = Arc::new(open_generator(&request.model, &request.engine)?);
    let prompt = request.prompt.ids(&generator)?;
    if let Some((width, length_penalty)) = request.how.beams {
        let search = BeamSearch { width, max_tokens: request.how.max_tokens, length_penalty };
        let found = beam_search(&generator, &prompt, &search, stop)?;
        let written = found.into_iter().take(request.how.n_samples).map(|found| written(found, &generator, &prompt));
        return Ok(Continued { samples: written.collect::<Result<_, _>>()?, speculation: None });
    }
    let constraint = request.how.constraint(&generator)?;
    let limits =
        EngineLimits { cache_tokens: request.how.cache_tokens(prompt.len(), &generator), ..Default::default() };
    let mut engine = request.model.engine(&generator, limits, &request.engine)?;
    let samples = write_one(&mut engine, request.how.request(prompt, constraint.as_ref()), stop, show)?;
    Ok(Continued { samples: request.how.chosen(samples), speculation: engine.speculation() })
}

/// The text of a beam, after its prompt.
fn written(found: Found, generator: &Generator, prompt: &[u32]) -> Result<Written, RecipeError> {
    let tokenizer = generator.tokenizer();
    let mut decoder = TextDecoder::after(tokenizer, prompt)?;
    let mut text = String::new();
    for &id in &found.ids {
        text.push_str(&decoder.push(tokenizer, id)?);
    }
    text.push_str(&decoder.finish(tokenizer)?);
    let (n_tokens, score) = (found.ids.len(), Some(found.score));
    Ok(Written { text, stop_reason: found.reason.name(), n_tokens, score, logprobs: Vec::new() })
}

/// Writes the samples of one request; `show` is given the text of the first as it comes.
fn write_one(
    engine: &mut Engine,
    request: Request,
    stop: &StopFlag,
    show: &mut dyn FnMut(&str),
) -> Result<Vec<Written>, RecipeError> {
    let mut texts = drive(engine, vec![request], stop, &mut |event| {
        if let Event::Token { sample: 0, text, .. } | Event::Done { sample: 0, text, .. } = event
            && !text.is_empty()
        {
            show(text);
        }
    })?;
    Ok(texts.swap_remove(0))
}

/// Writes the samples of some requests, in their order, until all are done or it is asked to stop.
///
/// # Errors
/// When the engine takes a request for none that it can work on.
pub(crate) fn drive(
    engine: &mut Engine,
    requests: Vec<Request>,
    stop: &StopFlag,
    observe: &mut dyn FnMut(&Event),
) -> Result<Vec<Vec<Written>>, RecipeError> {
    let mut texts: Vec<Vec<Written>> = requests.iter().map(|r| vec![Written::empty(); r.n_samples]).collect();
    let ids = requests.into_iter().map(|request| engine.submit(request)).collect::<Result<Vec<_>, _>>()?;
    let generator = Arc::clone(engine.generator());
    engine.run(stop, &mut |event| {
        observe(&event);
        if let Some(own) = ids.iter().position(|id| *id == event.request()) {
            take(&mut texts[own], event, &generator);
        }
        Ok::<(), GenerateError>(())
    })?;
    Ok(texts)
}

impl Written {
    fn empty() -> Self {
        Self {
            text: String::new(),
            stop_reason: StopReason::Stopped.name(),
            n_tokens: 0,
            score: None,
            logprobs: Vec::new(),
        }
    }
}

/// Takes what an event says of a request's samples; returns whether one of them is done.
fn take(all: &mut [Written], event: Event, generator: &Generator) -> bool {
    match event {
        Event::Token { sample, text, logprobs, .. } => {
            all[sample].text.push_str(&text);
            all[sample].logprobs.extend(logprobs.map(|logprobs| WrittenToken {
                token: generator.tokenizer().token(logprobs.id).unwrap_or_default(),
                logprobs,
            }));
            false
        }
        Event::Done { sample, reason, text, n_tokens, .. } => {
            let written = &mut all[sample];
            written.text.push_str(&text);
            (written.stop_reason, written.n_tokens) = (reason.name(), n_tokens);
            true
        }
        Event::Prompt { .. } | Event::Embedding { .. } => false,
    }
}
