//! `/v1/chat/completions`: chats that are answered.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};
use tutelage_generate::{Request, StopReason, TokenLogprobs};
use tutelage_token::Chat;

use super::access::Arrival;
use super::app::{App, Model, now};
use super::completions::usage;
use super::failure::{Failure, json_response};
use super::logprobs::chat_token;
use super::messages::normalized;
use super::payload::Payload;
use super::settings::{any_seed, request_type};
use super::stream::{Parts, stream};
use super::tools::{Call, Scanner, Shown, Tool, ToolChoice, Tools};
use super::written::{Sample, collect, finish_reason, next};
use crate::worker::{JobEvent, JobHandle};

request_type! {
    /// What is asked.
    ChatRequest {
        messages: Vec<Map<String, Value>>,
        max_tokens: Option<usize>,
        max_completion_tokens: Option<usize>,
        logprobs: Option<bool>,
        top_logprobs: Option<usize>,
        tools: Option<Vec<Tool>>,
        tool_choice: Option<ToolChoice>,
        parallel_tool_calls: Option<bool>,
    }
}

/// What all parts of an answer have in common.
struct Answer {
    id: String,
    created: u64,
    model: Arc<Model>,
    n_prompt: usize,
    tools: Tools,
    logprobs: bool,
}

impl ChatRequest {
    /// Most tokens of an answer to so long a prompt.
    fn max_tokens(&self, app: &App, model: &Model, n_prompt: usize) -> Result<usize, Failure> {
        let Some(asked) = self.max_completion_tokens.or(self.max_tokens) else {
            // As much as there is room for.
            let room = model.cache_tokens.saturating_sub(n_prompt);
            return Ok(app.limits.default_max_tokens.min(room).max(1));
        };
        if asked == 0 || asked > app.limits.max_tokens {
            return Err(Failure::param("max_tokens", format!("must be from 1 to {}", app.limits.max_tokens)));
        }
        Ok(asked)
    }

    fn logprobs(&self, app: &App) -> Result<Option<usize>, Failure> {
        match (self.logprobs.unwrap_or(false), self.top_logprobs) {
            (false, Some(n)) if n > 0 => Err(Failure::param("top_logprobs", "set logprobs to true as well")),
            (true, Some(n)) if n > app.limits.logprobs => {
                Err(Failure::param("top_logprobs", format!("at most {}", app.limits.logprobs)))
            }
            (wanted, n) => Ok(wanted.then_some(n.unwrap_or(0))),
        }
    }
}

pub(super) async fn chat(
    State(app): State<Arc<App>>,
    Extension(arrival): Extension<Arrival>,
    Payload(mut asked): Payload<ChatRequest>,
) -> Result<Response, Failure> {
    let (at, model) = app.model(asked.model.as_deref())?;
    let settings = asked.settings(&app.limits)?;
    let logprobs = asked.logprobs(&app)?;
    let many = asked.parallel_tool_calls.unwrap_or(true);
    let tools = Tools::new(asked.tools.as_deref().unwrap_or_default(), asked.tool_choice.as_ref(), many)?;
    if tools.grammar.is_some() && settings.grammar.is_some() {
        return Err(Failure::param("response_format", "cannot go with a tool_choice that requires a call"));
    }
    let messages = normalized(std::mem::take(&mut asked.messages))?;
    if app.logs_texts {
        arrival.record.asked(Value::String(messages.clone()));
    }
    let (shown, created) = (tools.shown.clone(), now());
    let grammar = settings.grammar.clone().or_else(|| tools.grammar.clone());
    let (prompt, constraint) = model
        .run(move |generator| {
            let mut chat = Chat::from_json(&messages)?;
            chat.now = created as i64;
            if let Some(tools) = shown {
                chat = chat.with_tools(&tools)?;
            }
            let constraint = grammar.map(|grammar| generator.constraint(&grammar)).transpose()?;
            Ok((generator.chat_prompt(&chat)?, constraint))
        })
        .await?;
    let (n_prompt, max_tokens) = (prompt.len(), asked.max_tokens(&app, &model, prompt.len())?);
    let request = Request {
        sampling: settings.sampling.clone(),
        n_samples: settings.n,
        stop: settings.stop.clone(),
        stop_ids: settings.stop_ids.clone(),
        ignores_end: settings.ignores_end,
        logprobs,
        constraint,
        ..Request::new(prompt, max_tokens)
    };
    let mut job = app.submit(at, &arrival, vec![request]).await?;
    let id = format!("chatcmpl-{:016x}", any_seed());
    let answer = Answer { id, created, model, n_prompt, tools, logprobs: logprobs.is_some() };
    if settings.streams {
        let scanners = (0..settings.n).map(|_| (Scanner::new(&answer.tools), 0)).collect();
        let (n_left, includes_usage) = (settings.n, settings.includes_usage);
        let streamed =
            Streamed { app, arrival, answer, job, scanners, n_left, n_written: 0, includes_usage, begun: false };
        return Ok(stream(streamed));
    }
    let written = collect(&app, &arrival, &mut job, (1, settings.n)).await?;
    let samples: Vec<Sample> = written.into_iter().flat_map(|prompt| prompt.samples).collect();
    let n_written = samples.iter().map(|sample| sample.tokens.len()).sum();
    let choices = samples.into_iter().enumerate().map(|(index, sample)| answer.choice(index, &sample)).collect();
    let mut body = answer.head("chat.completion");
    body["choices"] = Value::Array(choices);
    body["usage"] = usage(answer.n_prompt, n_written);
    Ok(json_response(StatusCode::OK, &body))
}

impl Answer {
    fn head(&self, object: &str) -> Value {
        json!({ "id": self.id, "object": object, "created": self.created, "model": self.model.name })
    }

    fn logprobs<'t>(&self, tokens: impl Iterator<Item = &'t TokenLogprobs>) -> Option<Value> {
        let content: Vec<Value> = tokens.map(|token| chat_token(&self.model, token)).collect();
        self.logprobs.then(|| json!({ "content": content }))
    }

    /// A sample, whole.
    fn choice(&self, index: usize, sample: &Sample) -> Value {
        let mut scanner = Scanner::new(&self.tools);
        let (first, last) = (scanner.push(&sample.text), scanner.finish());
        let text = first.text + &last.text;
        let calls: Vec<Value> = first.calls.iter().chain(&last.calls).map(Call::json).collect();
        let mut message = json!({ "role": "assistant", "content": text });
        if !calls.is_empty() {
            if text.is_empty() {
                message["content"] = Value::Null;
            }
            message["tool_calls"] = Value::Array(calls);
        }
        json!({
            "index": index,
            "message": message,
            "logprobs": self.logprobs(sample.tokens.iter().filter_map(|(_, logprobs)| logprobs.as_ref())),
            "finish_reason": sample.reason.map(|reason| reason_of(reason, &scanner)),
        })
    }
}

fn reason_of(reason: StopReason, scanner: &Scanner) -> &'static str {
    if scanner.has_calls() { "tool_calls" } else { finish_reason(reason) }
}

/// An answer as it comes.
struct Streamed {
    app: Arc<App>,
    arrival: Arrival,
    answer: Answer,
    job: JobHandle,
    /// What looks for calls in each sample, and how many were sent.
    scanners: Vec<(Scanner, usize)>,
    n_left: usize,
    n_written: usize,
    includes_usage: bool,
    begun: bool,
}

impl Streamed {
    fn part(&self, index: usize, delta: &Value, logprobs: Option<Value>, reason: Option<&str>) -> Value {
        let mut part = self.answer.head("chat.completion.chunk");
        part["choices"] = json!([{ "index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason }]);
        if self.includes_usage {
            part["usage"] = Value::Null;
        }
        part
    }

    /// What can be shown of a sample, as a difference.
    fn delta(&mut self, sample: usize, shown: Shown) -> Map<String, Value> {
        let mut delta = Map::new();
        if !shown.text.is_empty() {
            delta.insert("content".to_owned(), Value::String(shown.text));
        }
        let sent = &mut self.scanners[sample].1;
        let calls: Vec<Value> = shown
            .calls
            .iter()
            .map(|call| {
                let mut call = call.json();
                call["index"] = json!(*sent);
                *sent += 1;
                call
            })
            .collect();
        if !calls.is_empty() {
            delta.insert("tool_calls".to_owned(), Value::Array(calls));
        }
        delta
    }
}

impl Parts for Streamed {
    async fn next(&mut self) -> Result<Option<Vec<Value>>, Failure> {
        if !std::mem::replace(&mut self.begun, true) {
            let first = json!({ "role": "assistant", "content": "" });
            return Ok(Some((0..self.scanners.len()).map(|sample| self.part(sample, &first, None, None)).collect()));
        }
        if self.n_left == 0 {
            if !std::mem::take(&mut self.includes_usage) {
                return Ok(None);
            }
            let mut part = self.answer.head("chat.completion.chunk");
            part["choices"] = json!([]);
            part["usage"] = usage(self.answer.n_prompt, self.n_written);
            return Ok(Some(vec![part]));
        }
        Ok(Some(match next(&self.app, &self.arrival, &mut self.job).await? {
            Some(JobEvent::Token { sample, logprobs, text, .. }) => {
                self.n_written += 1;
                let shown = self.scanners[sample].0.push(&text);
                let delta = self.delta(sample, shown);
                let found = self.answer.logprobs(logprobs.iter());
                match delta.is_empty() && found.is_none() {
                    true => Vec::new(),
                    false => vec![self.part(sample, &Value::Object(delta), found, None)],
                }
            }
            Some(JobEvent::Done { sample, reason, text, .. }) => {
                self.n_left -= 1;
                let (mut shown, rest) = (self.scanners[sample].0.push(&text), self.scanners[sample].0.finish());
                shown.text.push_str(&rest.text);
                shown.calls.extend(rest.calls);
                let delta = self.delta(sample, shown);
                let reason = reason_of(reason, &self.scanners[sample].0);
                let mut parts = Vec::new();
                if !delta.is_empty() {
                    parts.push(self.part(sample, &Value::Object(delta), None, None));
                }
                parts.push(self.part(sample, &json!({}), None, Some(reason)));
                parts
            }
            Some(_) => Vec::new(),
            None => return Err(self.app.gone()),
        }))
    }
}
