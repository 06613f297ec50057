//! `/v1/completions`: texts that are continued.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use tutelage_generate::{Request, TokenLogprobs};

use super::access::Arrival;
use super::app::{App, Model, now};
use super::failure::{Failure, json_response};
use super::logprobs::LegacyLogprobs;
use super::payload::Payload;
use super::prompts::{OnePrompt, Prompts};
use super::settings::{any_seed, request_type};
use super::stream::{Parts, stream};
use super::written::{OfPrompt, best, collect, finish_reason, next};
use crate::worker::{JobEvent, JobHandle};

request_type! {
    /// What is asked.
    CompletionRequest {
        prompt: Prompts,
        max_tokens: Option<usize>,
        echo: Option<bool>,
        logprobs: Option<usize>,
        best_of: Option<usize>,
        suffix: Option<Value>,
        return_tokens_as_token_ids: Option<bool>,
    }
}

/// Tokens that are written where no number is given, as at OpenAI.
const DEFAULT_MAX_TOKENS: usize = 16;

/// What all parts of an answer have in common.
struct Answer {
    id: String,
    created: u64,
    model: Arc<Model>,
    /// Prompts and, where they are sent back, their texts.
    prompts: Vec<(Vec<u32>, Option<String>)>,
    n: usize,
    logprobs: Option<usize>,
    /// Whether tokens stand as `token_id:N`.
    ids: bool,
}

pub(super) async fn completions(
    State(app): State<Arc<App>>,
    Extension(arrival): Extension<Arrival>,
    Payload(asked): Payload<CompletionRequest>,
) -> Result<Response, Failure> {
    let (at, model) = app.model(asked.model.as_deref())?;
    let settings = asked.settings(&app.limits)?;
    if asked.suffix.is_some() {
        return Err(Failure::param("suffix", "text cannot be inserted before a suffix here; leave it out"));
    }
    let echo = asked.echo.unwrap_or(false);
    let best_of = asked.best_of.unwrap_or(settings.n);
    if best_of < settings.n || best_of > app.limits.samples {
        let message = format!("must be at least n ({}) and at most {}, is {best_of}", settings.n, app.limits.samples);
        return Err(Failure::param("best_of", message));
    }
    let chooses = best_of > settings.n;
    if chooses && settings.streams {
        return Err(Failure::param("best_of", "cannot be streamed: the best is known in the end"));
    }
    if asked.logprobs.is_some_and(|n| n > app.limits.logprobs) {
        return Err(Failure::param("logprobs", format!("at most {}", app.limits.logprobs)));
    }
    let max_tokens = asked.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
    if max_tokens > app.limits.max_tokens {
        return Err(Failure::param("max_tokens", format!("at most {}", app.limits.max_tokens)));
    }
    let ids = asked.prompt.ids(&model, app.limits.prompts, "prompt").await?;
    let constraint = match settings.grammar.clone() {
        Some(grammar) => Some(model.run(move |generator| generator.constraint(&grammar)).await?),
        None => None,
    };
    if app.logs_texts {
        arrival.record.asked(ids.iter().map(|ids| model.decode(ids)).collect::<Result<Vec<_>, _>>()?.into());
    }
    let requests = ids.iter().map(|prompt| Request {
        sampling: settings.sampling.clone(),
        n_samples: best_of,
        stop: settings.stop.clone(),
        stop_ids: settings.stop_ids.clone(),
        ignores_end: settings.ignores_end,
        logprobs: if chooses { Some(asked.logprobs.unwrap_or(0)) } else { asked.logprobs },
        prompt_logprobs: asked.logprobs.filter(|_| echo),
        constraint: constraint.clone(),
        ..Request::new(prompt.clone(), max_tokens)
    });
    let mut job = app.submit(at, &arrival, requests.collect()).await?;
    let echoed = |prompt: &OnePrompt, ids: &[u32]| match prompt {
        OnePrompt::Text(text) => Ok(text.clone()),
        OnePrompt::Ids(_) => model.decode(ids),
    };
    let texts = asked.prompt.0.iter().zip(&ids).map(|(prompt, ids)| echo.then(|| echoed(prompt, ids)).transpose());
    let texts = texts.collect::<Result<Vec<_>, Failure>>()?;
    let answer = Answer {
        id: format!("cmpl-{:016x}", any_seed()),
        created: now(),
        model,
        prompts: ids.into_iter().zip(texts).collect(),
        n: settings.n,
        logprobs: asked.logprobs,
        ids: asked.return_tokens_as_token_ids.unwrap_or(false),
    };
    if settings.streams {
        let n_left = answer.prompts.len() * answer.n;
        let offsets = vec![0; n_left];
        let includes_usage = settings.includes_usage;
        let begun = false;
        return Ok(stream(Streamed {
            app,
            arrival,
            answer,
            job,
            offsets,
            n_left,
            n_written: 0,
            includes_usage,
            begun,
        }));
    }
    let written = collect(&app, &arrival, &mut job, (answer.prompts.len(), best_of)).await?;
    // Samples that were not chosen were written too.
    let n_written: usize = written.iter().flat_map(|prompt| &prompt.samples).map(|sample| sample.tokens.len()).sum();
    let mut choices = Vec::new();
    for (prompt, found) in written.into_iter().enumerate() {
        answer.choices(prompt, found, chooses, &mut choices);
    }
    let mut body = answer.head();
    body["choices"] = Value::Array(choices);
    body["usage"] = answer.usage(n_written);
    Ok(json_response(StatusCode::OK, &body))
}

impl Answer {
    fn head(&self) -> Value {
        json!({ "id": self.id, "object": "text_completion", "created": self.created, "model": self.model.name })
    }

    fn usage(&self, n_written: usize) -> Value {
        usage(self.prompts.iter().map(|(ids, _)| ids.len()).sum(), n_written)
    }

    /// The samples of a prompt, whole.
    fn choices(&self, prompt: usize, found: OfPrompt, chooses: bool, choices: &mut Vec<Value>) {
        let (ids, echoed) = &self.prompts[prompt];
        let samples = if chooses { best(found.samples, self.n) } else { found.samples };
        for sample in samples {
            let logprobs = self.logprobs.map(|_| {
                let mut all = LegacyLogprobs::new(&self.model, self.ids, 0);
                if echoed.is_some() {
                    all.prompt(ids, &found.logprobs);
                }
                sample.tokens.iter().for_each(|(id, logprobs)| all.push(*id, logprobs.as_ref()));
                all.json()
            });
            choices.push(json!({
                "index": choices.len(),
                "text": echoed.clone().unwrap_or_default() + &sample.text,
                "logprobs": logprobs,
                "finish_reason": sample.reason.map(finish_reason),
            }));
        }
    }
}

/// Numbers of tokens.
pub(super) fn usage(n_prompt: usize, n_written: usize) -> Value {
    json!({ "prompt_tokens": n_prompt, "completion_tokens": n_written, "total_tokens": n_prompt + n_written })
}

/// An answer as it comes.
struct Streamed {
    app: Arc<App>,
    arrival: Arrival,
    answer: Answer,
    job: JobHandle,
    /// Characters of each choice so far.
    offsets: Vec<usize>,
    /// Choices that are not done.
    n_left: usize,
    n_written: usize,
    includes_usage: bool,
    begun: bool,
}

impl Streamed {
    fn part(&self, choice: usize, text: &str, logprobs: Option<Value>, reason: Option<&str>) -> Value {
        let mut part = self.answer.head();
        part["choices"] = json!([{ "index": choice, "text": text, "logprobs": logprobs, "finish_reason": reason }]);
        if self.includes_usage {
            part["usage"] = Value::Null;
        }
        part
    }

    /// The prompt before each of its samples.
    fn echo(&mut self, prompt: usize, logprobs: &[TokenLogprobs]) -> Vec<Value> {
        let (ids, Some(text)) = self.answer.prompts[prompt].clone() else { return Vec::new() };
        let mut all = LegacyLogprobs::new(&self.answer.model, self.answer.ids, 0);
        all.prompt(&ids, logprobs);
        let end = all.end();
        let found = self.answer.logprobs.map(|_| all.json());
        let own = prompt * self.answer.n..(prompt + 1) * self.answer.n;
        self.offsets[own.clone()].fill(end);
        own.map(|choice| self.part(choice, &text, found.clone(), None)).collect()
    }
}

impl Parts for Streamed {
    async fn next(&mut self) -> Result<Option<Vec<Value>>, Failure> {
        if !self.begun {
            self.begun = true;
            // Where log-probabilities of prompts are wanted, the prompts come with them.
            if self.answer.logprobs.is_none() {
                let echoed: Vec<Value> =
                    (0..self.answer.prompts.len()).flat_map(|prompt| self.echo(prompt, &[])).collect();
                if !echoed.is_empty() {
                    return Ok(Some(echoed));
                }
            }
        }
        if self.n_left == 0 {
            if !std::mem::take(&mut self.includes_usage) {
                return Ok(None);
            }
            let mut part = self.answer.head();
            part["choices"] = json!([]);
            part["usage"] = self.answer.usage(self.n_written);
            return Ok(Some(vec![part]));
        }
        Ok(Some(match next(&self.app, &self.arrival, &mut self.job).await? {
            Some(JobEvent::Prompt { prompt, logprobs }) => self.echo(prompt, &logprobs),
            Some(JobEvent::Token { prompt, sample, id, logprobs, text }) => {
                self.n_written += 1;
                let choice = prompt * self.answer.n + sample;
                let found = self.answer.logprobs.map(|_| {
                    let mut own = LegacyLogprobs::new(&self.answer.model, self.answer.ids, self.offsets[choice]);
                    own.push(id, logprobs.as_ref());
                    self.offsets[choice] = own.end();
                    own.json()
                });
                match text.is_empty() && found.is_none() {
                    true => Vec::new(),
                    false => vec![self.part(choice, &text, found, None)],
                }
            }
            Some(JobEvent::Done { prompt, sample, reason, text, .. }) => {
                self.n_left -= 1;
                let choice = prompt * self.answer.n + sample;
                vec![self.part(choice, &text, None, Some(finish_reason(reason)))]
            }
            Some(_) => Vec::new(),
            None => return Err(self.app.gone()),
        }))
    }
}
