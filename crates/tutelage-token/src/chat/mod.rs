//! Chat templates: Jinja, with what transformers adds to it.
//!
//! # Two promises
//! - A template renders as in transformers (`trim_blocks`, `lstrip_blocks`, loop controls, methods of Python's strings and
//!   maps, `tojson` as `json.dumps` has it, `strftime_now`, `raise_exception`).
//! - What users write never becomes a control token: see [`ChatTemplate::encode`].

mod json;
mod template;

use minijinja::Value;

pub(crate) use template::CHATML;
pub use template::ChatTemplate;

use crate::TokenError;

/// What is rendered.
#[derive(Debug, Clone)]
pub struct Chat {
    messages: Value,
    tools: Option<Value>,
    /// Whether the reply's beginning follows the last message.
    pub add_generation_prompt: bool,
    /// Seconds since 1970, for templates that ask for the date (in UTC).
    pub now: i64,
}

fn parsed(what: &str, json: &str) -> Result<Value, TokenError> {
    let value: Value = serde_json::from_str(json).map_err(|e| TokenError::Template(format!("{what}: {e}")))?;
    match value.kind() {
        minijinja::value::ValueKind::Seq => Ok(value),
        other => Err(TokenError::Template(format!("{what}: expected an array, found {other}"))),
    }
}

impl Chat {
    /// Messages as JSON: an array of objects with `role`, `content`, and whatever else the template knows.
    ///
    /// # Errors
    /// When it is no array.
    pub fn from_json(messages: &str) -> Result<Self, TokenError> {
        let messages = parsed("messages", messages)?;
        Ok(Self { messages, tools: None, add_generation_prompt: true, now: 0 })
    }

    /// Messages of roles and contents.
    pub fn new<'m>(messages: impl Iterator<Item = (&'m str, &'m str)>) -> Self {
        let message = |(role, content)| Value::from_pairs([("role", role), ("content", content)]);
        let messages = messages.map(message).collect();
        Self { messages, tools: None, add_generation_prompt: true, now: 0 }
    }

    /// Adds tools as JSON: an array of function schemas.
    ///
    /// # Errors
    /// When it is no array.
    pub fn with_tools(self, tools: &str) -> Result<Self, TokenError> {
        Ok(Self { tools: Some(parsed("tools", tools)?), ..self })
    }
}
