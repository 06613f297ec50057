//! A chat that goes on: what was read before is not read again.

use std::sync::Arc;

use serde_json::{Value, json};
use tutelage_generate::{Constraint, Engine, EngineLimits, Generator};
use tutelage_run::StopFlag;
use tutelage_tensor::kernels::attention::PAGE;

use super::{Continuation, ModelChoice, Prompt, Written, open_generator, write_one};
use crate::{EngineChoice, RecipeError};

/// A chat with a model.
#[derive(Debug)]
pub struct ChatSession {
    generator: Arc<Generator>,
    engine: Engine,
    how: Continuation,
    constraint: Option<Constraint>,
    system: Option<String>,
    messages: Vec<Value>,
}

impl ChatSession {
    /// Opens a model for a chat, with the system's message if there is one.
    ///
    /// # Errors
    /// When the model is not whole, or has no chat template.
    pub fn open(
        model: &ModelChoice,
        how: Continuation,
        system: Option<String>,
        engine: &EngineChoice,
    ) -> Result<Self, RecipeError> {
        how.validate()?;
        let generator = Arc::new(open_generator(model, engine)?);
        // As long as the model was trained for, in so far as that is no more than this.
        const MOST: usize = 16_384;
        let cache_tokens = generator.model().config().n_positions().min(MOST) + PAGE;
        let limits = EngineLimits { cache_tokens, ..Default::default() };
        let engine = model.engine(&generator, limits, engine)?;
        let constraint = how.constraint(&generator)?;
        let mut session = Self { generator, engine, how, constraint, system, messages: Vec::new() };
        session.reset();
        // A template that is missing is better found now.
        session.prompt(0, "hello")?;
        Ok(session)
    }

    /// Forgets everything but the system's message.
    pub fn reset(&mut self) {
        let system = self.system.iter().map(|content| json!({ "role": "system", "content": content }));
        self.messages = system.collect();
    }

    fn prompt(&self, now: i64, text: &str) -> Result<Vec<u32>, RecipeError> {
        let user = json!({ "role": "user", "content": text });
        let messages: Vec<&Value> = self.messages.iter().chain([&user]).collect();
        Prompt::Chat { messages: json!(messages).to_string(), tools: None, now }.ids(&self.generator)
    }

    /// Answers the user's text; `show` is given the answer as it comes. An answer that was stopped stays in the chat as far
    /// as it came.
    ///
    /// # Errors
    /// When the chat has become longer than the cache; it goes on after [`Self::reset`].
    pub fn answer(
        &mut self,
        text: &str,
        now: i64,
        stop: &StopFlag,
        show: &mut dyn FnMut(&str),
    ) -> Result<Written, RecipeError> {
        let mut request = self.how.request(self.prompt(now, text)?, self.constraint.as_ref());
        let (_, holds) = self.engine.cache_use();
        // What is left of the cache bounds the answer.
        request.max_tokens = request.max_tokens.min(holds.saturating_sub(request.prompt.len()).max(1));
        let written = write_one(&mut self.engine, request, stop, show)?.swap_remove(0);
        self.messages.push(json!({ "role": "user", "content": text }));
        self.messages.push(json!({ "role": "assistant", "content": written.text }));
        Ok(written)
    }
}
