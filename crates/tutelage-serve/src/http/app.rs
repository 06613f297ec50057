//! What every request can see.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use tokio::sync::Semaphore;
use tutelage_generate::{Generator, Request};
use tutelage_token::Spelling;

use super::access::{AccessLog, Arrival};
use super::description::description;
use super::failure::Failure;
use super::guard::Admission;
use super::payload::units;
use crate::config::{ServeConfig, ServeLimits};
use crate::metrics::Metrics;
use crate::worker::{JobEvent, JobHandle, Scheduler, Submission};

/// A model and what is worked out of it once.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) generator: Arc<Generator>,
    /// Tokens that its cache holds.
    pub(crate) cache_tokens: usize,
    /// What its tokens stand for.
    pub(crate) spellings: Vec<Spelling>,
    /// Bytes of the longest token.
    longest: usize,
}

/// The server.
pub(crate) struct App {
    pub(crate) models: Vec<Arc<Model>>,
    pub(crate) scheduler: Scheduler,
    pub(crate) limits: ServeLimits,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) admission: Admission,
    /// Kilobytes of large bodies that may still be read.
    pub(crate) body_units: Arc<Semaphore>,
    pub(crate) log: AccessLog,
    pub(crate) logs_texts: bool,
    /// What `/openapi.json` says.
    pub(crate) description: String,
    /// Seconds since 1970 when the server began.
    pub(crate) created: u64,
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

impl App {
    pub(crate) fn new(config: &ServeConfig, scheduler: Scheduler, metrics: Arc<Metrics>, log: AccessLog) -> Self {
        let model = |served: &crate::ServedModel| {
            let spellings = served.generator.tokenizer().spellings();
            let longest = spellings.iter().map(|spelling| spelling.bytes().len()).max().unwrap_or(1);
            let (name, generator) = (served.name.clone(), Arc::clone(&served.generator));
            let cache_tokens = served.limits.cache_tokens;
            Arc::new(Model { name, generator, cache_tokens, spellings, longest })
        };
        let models: Vec<Arc<Model>> = config.models.iter().map(model).collect();
        Self {
            description: description(&models, &config.limits),
            models,
            scheduler,
            limits: config.limits,
            metrics,
            admission: Admission::new(config),
            body_units: Arc::new(Semaphore::new(units(config.limits.all_body_bytes))),
            log,
            logs_texts: config.logs_texts,
            created: now(),
        }
    }

    /// A model by its name; the first if there is none.
    pub(crate) fn model(&self, name: Option<&str>) -> Result<(usize, Arc<Model>), Failure> {
        let found = match name {
            None => self.models.first().map(|model| (0, model)),
            Some(name) => self.models.iter().enumerate().find(|(_, model)| model.name == name),
        };
        found.map(|(at, model)| (at, Arc::clone(model))).ok_or_else(|| {
            let known: Vec<&str> = self.models.iter().map(|model| &model.name[..]).collect();
            let message =
                format!("there is no model '{}' here; there is {}", name.unwrap_or_default(), known.join(", "));
            Failure::new(StatusCode::NOT_FOUND, message).code("model_not_found")
        })
    }

    /// Hands requests to the worker.
    pub(crate) async fn submit(
        &self,
        model: usize,
        arrival: &Arrival,
        requests: Vec<Request>,
    ) -> Result<JobHandle, Failure> {
        let n_prompt: usize = requests.iter().map(|request| request.prompt.len()).sum();
        let deadline = arrival.at + self.limits.request_time;
        let submission = Submission { model, client: arrival.client, requests, deadline };
        let mut job = self.scheduler.submit(submission);
        match job.next().await {
            Some(JobEvent::Accepted) => {
                self.metrics.prompt(n_prompt);
                arrival.record.prompt(&self.models[model].name, n_prompt);
                Ok(job)
            }
            Some(JobEvent::Busy { retry_after }) => {
                Err(Failure::busy("too many requests wait already; try again later", retry_after))
            }
            Some(JobEvent::Refused(error)) => Err(error.into()),
            _ => Err(self.gone()),
        }
    }

    /// What is said when the worker says nothing.
    pub(crate) fn gone(&self) -> Failure {
        let failure = self.scheduler.failure();
        Failure::unavailable(failure.unwrap_or_else(|| "the server is stopping; try again later".to_owned()))
    }
}

impl Model {
    /// Ids of a text, worked out away from the connections' threads; `with_start` puts before it what the model expects.
    pub(crate) async fn encode(self: &Arc<Self>, text: String, with_start: bool) -> Result<Vec<u32>, Failure> {
        let most = self.generator.n_positions().saturating_mul(self.longest);
        if text.len() > most {
            let message =
                format!("a text of {} bytes cannot fit into the model, which takes {most} at most", text.len());
            return Err(Failure::wrong(message).code("context_length_exceeded"));
        }
        self.run(move |generator| match with_start {
            true => generator.prompt(&text),
            false => Ok(generator.tokenizer().encode(&text)?),
        })
        .await
    }

    /// Works away from the connections' threads.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Generator) -> Result<T, tutelage_generate::GenerateError> + Send + 'static,
    ) -> Result<T, Failure> {
        let own = Arc::clone(self);
        let found = tokio::task::spawn_blocking(move || work(&own.generator)).await;
        Ok(found.map_err(|_| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the tokenizer failed"))??)
    }

    /// A token as clients see it.
    pub(crate) fn shown(&self, id: u32) -> String {
        self.spellings.get(id as usize).map(Spelling::shown).unwrap_or_default()
    }

    /// Text of ids.
    pub(crate) fn decode(&self, ids: &[u32]) -> Result<String, Failure> {
        let text = self.generator.tokenizer().decode(ids);
        text.map_err(|error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    }
}
