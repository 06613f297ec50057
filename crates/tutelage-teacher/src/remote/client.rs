//! Requests, and their patience.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

use super::answer::{Completion, Logprobs};
use super::{RemoteError, ServerConfig};

/// Bytes of an answer, at most: what is kept in memory.
const BODY: u64 = 256 << 20;
/// The first pause; each next is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// Asks one server.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) config: ServerConfig,
    /// Name of the model.
    pub(super) model: String,
    agent: Agent,
    /// `max_tokens` of a request that wants none: some servers want at least one.
    max_tokens: usize,
    failures: AtomicU32,
    /// What the server calls its model and its build, once it did.
    known: Mutex<[Option<String>; 2]>,
}

/// Why a try failed.
enum Fault {
    /// Worth another, after so long at least.
    Again(String, Option<Duration>),
    Final(RemoteError),
}

impl Client {
    /// Finds the model, and what the server wants of requests.
    pub(super) fn open(config: ServerConfig) -> Result<Self, RemoteError> {
        let agent = Agent::config_builder()
            .timeout_global(Some(config.timeout))
            .http_status_as_error(false)
            .max_idle_connections_per_host(config.connections)
            .build()
            .into();
        let mut client = Self {
            model: config.model.clone().unwrap_or_default(),
            config,
            agent,
            max_tokens: 0,
            failures: AtomicU32::new(0),
            known: Mutex::default(),
        };
        if client.config.model.is_none() {
            let models = client.patiently(|client| client.call("models", None))?;
            let name = models["data"][0]["id"].as_str().map(str::to_owned);
            client.model = name.ok_or_else(|| client.answer("it names no model; give 'model'"))?;
        }
        Ok(client)
    }

    pub(super) fn answer(&self, found: impl Into<String>) -> RemoteError {
        RemoteError::Answer { url: self.config.url.clone(), found: found.into() }
    }

    /// Log-probabilities of prompts, `top_k` for each token.
    pub(super) fn prompts(&self, prompts: &Value, n: usize, top_k: usize) -> Result<Vec<Logprobs>, RemoteError> {
        let body = json!({
            "model": self.model, "prompt": prompts, "max_tokens": self.max_tokens, "echo": true, "logprobs": top_k,
            "temperature": 1.0, "return_tokens_as_token_ids": true,
        });
        self.patiently(|client| {
            let answer = client.call("completions", Some(&body))?;
            let completion: Completion =
                serde_json::from_value(answer).map_err(|error| Fault::Again(format!("its JSON: {error}"), None))?;
            client.same(&completion).map_err(Fault::Final)?;
            completion.by_prompt(n).map_err(|found| Fault::Final(client.answer(found)))
        })
    }

    /// The ids that the server makes of a text; finds `max_tokens` on the way.
    pub(super) fn ids_of(&mut self, text: &str) -> Result<Vec<u32>, RemoteError> {
        let prompt = json!([text]);
        let found = match self.prompts(&prompt, 1, 1) {
            Err(RemoteError::Refused { .. }) if self.max_tokens == 0 => {
                self.max_tokens = 1;
                self.prompts(&prompt, 1, 1)?
            }
            found => found?,
        };
        let mut ids = found[0].ids().map_err(|found| self.answer(found))?;
        // What was written beside is no part of the text.
        ids.truncate(ids.len().saturating_sub(self.max_tokens));
        Ok(ids)
    }

    /// An answer by another model or build than the first one is none. (Some servers answer to any name, with their own.)
    fn same(&self, completion: &Completion) -> Result<(), RemoteError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = [("model", &completion.model), ("fingerprint", &completion.system_fingerprint)];
        for ((what, found), known) in found.into_iter().zip(known.iter_mut()) {
            let Some(found) = found else { continue };
            let known = known.get_or_insert_with(|| found.clone());
            if known != found {
                let found = format!("its {what} is '{found}', before it was '{known}'");
                return Err(RemoteError::Changed { url: self.config.url.clone(), found });
            }
        }
        Ok(())
    }

    /// Tries until it works, is refused, or patience ends.
    fn patiently<T>(&self, attempt: impl Fn(&Self) -> Result<T, Fault>) -> Result<T, RemoteError> {
        let mut pause = PAUSE;
        for tries in 1.. {
            let (found, at_least) = match attempt(self) {
                Ok(found) => return Ok(found),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Again(found, at_least)) => (found, at_least),
            };
            let url = self.config.url.clone();
            let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
            if failures > self.config.budget {
                return Err(RemoteError::Budget { url, failures, found });
            }
            if tries > self.config.retries {
                return Err(RemoteError::Unreachable { url, tries, found });
            }
            std::thread::sleep(pause.max(at_least.unwrap_or_default()).min(LONGEST_PAUSE));
            pause *= 2;
        }
        unreachable!("the loop ends by returning")
    }

    fn call(&self, path: &str, body: Option<&Value>) -> Result<Value, Fault> {
        let url = format!("{}/{path}", self.config.url.trim_end_matches('/'));
        let key = self.config.api_key.as_ref().map(|key| format!("Bearer {key}"));
        let sent = match body {
            None => {
                let request = self.agent.get(&url);
                key.iter().fold(request, |request, key| request.header("Authorization", key)).call()
            }
            Some(body) => {
                let request = self.agent.post(&url).header("Content-Type", "application/json");
                let request = key.iter().fold(request, |request, key| request.header("Authorization", key));
                request.send(body.to_string())
            }
        };
        let mut response = sent.map_err(|error| Fault::Again(error.to_string(), None))?;
        let status = response.status().as_u16();
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let bytes = response.body_mut().with_config().limit(BODY).read_to_vec();
        let bytes = bytes.map_err(|error| Fault::Again(format!("its body: {error}"), None))?;
        match status {
            200..300 => {
                serde_json::from_slice(&bytes).map_err(|error| Fault::Again(format!("its JSON: {error}"), None))
            }
            408 | 425 | 429 | 500.. => {
                Err(Fault::Again(format!("status {status}: {}", message(&bytes)), after.map(Duration::from_secs)))
            }
            _ => Err(Fault::Final(RemoteError::Refused { url, status, found: message(&bytes) })),
        }
    }
}

/// What a server says of an error, in whichever form.
fn message(bytes: &[u8]) -> String {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let places = [&value["error"]["message"], &value["message"], &value["detail"], &value["error"]];
    let text = places.iter().find_map(|place| place.as_str()).map(str::to_owned);
    text.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned()).chars().take(300).collect()
}

/// Carries out `work` on every item, `n_threads` at a time; the first error ends it.
pub(super) fn at_once<T: Sync, R: Send, E: Send>(
    items: &[T],
    n_threads: usize,
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<Option<R>>> = Mutex::new(items.iter().map(|_| None).collect());
    let error: Mutex<Option<E>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..n_threads.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                while let at = next.fetch_add(1, Ordering::Relaxed)
                    && at < items.len()
                {
                    match work(&items[at]) {
                        Ok(result) => found.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(result),
                        Err(fault) => {
                            next.store(items.len(), Ordering::Relaxed);
                            error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
                        }
                    }
                }
            });
        }
    });
    match error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()),
    }
}
