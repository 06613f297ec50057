//! What is known of a request, and the log of those that ended.

use std::pin::Pin;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use serde_json::Value;

use crate::metrics::Metrics;
use crate::worker::ClientId;

/// A request that has ended, as the access log has it.
#[derive(Debug, Clone, Serialize)]
pub struct AccessEntry {
    /// When it arrived, in UTC.
    pub time: String,
    /// The client's address.
    pub client: String,
    /// Its method.
    pub method: String,
    /// Its path, as far as it is one of ours.
    pub path: &'static str,
    /// How it was answered; 499 if the client went away before.
    pub status: u16,
    /// From its arrival to the last byte.
    pub seconds: f64,
    /// The client went away before the last byte.
    pub gone: bool,
    /// What it asked and got.
    #[serde(flatten)]
    pub facts: Facts,
}

/// What a request asked and got.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Facts {
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Tokens of its prompts.
    pub prompt_tokens: usize,
    /// Tokens that were written for it.
    pub completion_tokens: usize,
    /// Seconds until the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_seconds: Option<f64>,
    /// What was asked, if that is logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Value>,
    /// What was answered, if that is logged.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub answer: String,
}

/// Where entries go.
pub type AccessLog = Arc<dyn Fn(&AccessEntry) + Send + Sync>;

/// What is found out about a request while it is met.
#[derive(Debug, Default)]
pub(crate) struct Record(Mutex<Facts>);

impl Record {
    fn change(&self, change: impl FnOnce(&mut Facts)) {
        if let Ok(mut facts) = self.0.lock() {
            change(&mut facts);
        }
    }

    pub(crate) fn prompt(&self, model: &str, n_tokens: usize) {
        self.change(|facts| {
            facts.model = Some(model.to_owned());
            facts.prompt_tokens += n_tokens;
        });
    }

    /// What was asked, where that is logged.
    pub(crate) fn asked(&self, prompt: Value) {
        self.change(|facts| facts.prompt = Some(prompt));
    }

    pub(crate) fn answered(&self, text: &str) {
        self.change(|facts| facts.answer.push_str(text));
    }

    /// A token was written; returns whether it is the first.
    pub(crate) fn token(&self, since: Duration) -> bool {
        let mut is_first = false;
        self.change(|facts| {
            facts.completion_tokens += 1;
            is_first = facts.first_token_seconds.is_none();
            facts.first_token_seconds.get_or_insert(since.as_secs_f64());
        });
        is_first
    }
}

/// A request's arrival.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    pub(crate) client: ClientId,
    pub(crate) record: Arc<Record>,
}

/// Writes the entry when the request has ended, however that comes about.
pub(crate) struct Ending {
    pub(crate) arrival: Arrival,
    pub(crate) time: SystemTime,
    pub(crate) client: String,
    pub(crate) method: String,
    pub(crate) path: &'static str,
    /// Zero as long as there is no answer.
    pub(crate) status: AtomicU16,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: AccessLog,
    pub(crate) is_whole: bool,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let took = self.arrival.at.elapsed();
        let status = match self.status.load(Ordering::Relaxed) {
            0 => 499,
            status => status,
        };
        self.metrics.answered(self.path, status, took, !self.is_whole);
        let facts = self.arrival.record.0.lock().map(|facts| facts.clone()).unwrap_or_default();
        let time = jiff::Timestamp::try_from(self.time).map(|time| format!("{time:.3}")).unwrap_or_default();
        (self.log)(&AccessEntry {
            time,
            client: std::mem::take(&mut self.client),
            method: std::mem::take(&mut self.method),
            path: self.path,
            status,
            seconds: took.as_secs_f64(),
            gone: !self.is_whole,
            facts,
        });
    }
}

/// A body whose end is seen.
struct Observed {
    inner: Body,
    ending: Ending,
}

impl Ending {
    /// Goes with a response until its last byte.
    pub(crate) fn follow(mut self, response: Response) -> Response {
        self.status.store(response.status().as_u16(), Ordering::Relaxed);
        self.is_whole = response.body().is_end_stream();
        response.map(|inner| Body::new(Observed { inner, ending: self }))
    }
}

impl HttpBody for Observed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.inner.is_end_stream() {
            self.ending.is_whole = true;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
