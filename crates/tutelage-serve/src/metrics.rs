//! Counts of what is served, in Prometheus' text format.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Labels of a request: what was asked for, by the paths that exist, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    path: &'static str,
    status: u16,
}

/// What is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    request_seconds: Histogram,
    first_token_seconds: Histogram,
    prompt_tokens: Counter,
    written_tokens: Counter,
    gone: Counter,
    waiting: Gauge,
    running: Gauge,
    cache_used: Gauge,
    proposed: Gauge,
    accepted: Gauge,
    connections: Gauge,
}

/// From a millisecond to a quarter of an hour.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 20))
}

impl Metrics {
    /// For engines whose caches hold so many tokens together.
    pub(crate) fn new(cache_tokens: usize) -> Self {
        let mut registry = Registry::with_prefix("tutelage");
        let new = Self {
            requests: Family::default(),
            request_seconds: seconds(),
            first_token_seconds: seconds(),
            prompt_tokens: Counter::default(),
            written_tokens: Counter::default(),
            gone: Counter::default(),
            waiting: Gauge::default(),
            running: Gauge::default(),
            cache_used: Gauge::default(),
            proposed: Gauge::default(),
            accepted: Gauge::default(),
            connections: Gauge::default(),
            registry: Registry::default(),
        };
        let cache = Gauge::<i64>::default();
        cache.set(cache_tokens as i64);
        registry.register("requests", "Requests by path and status", new.requests.clone());
        registry.register("request_seconds", "From arrival to the last byte", new.request_seconds.clone());
        let help = "From arrival to the first token of a text";
        registry.register("first_token_seconds", help, new.first_token_seconds.clone());
        registry.register("prompt_tokens", "Tokens of prompts taken", new.prompt_tokens.clone());
        registry.register("written_tokens", "Tokens drawn", new.written_tokens.clone());
        registry.register("clients_gone", "Requests whose client went away", new.gone.clone());
        registry.register("waiting", "Samples that wait", new.waiting.clone());
        registry.register("running", "Samples that are being written", new.running.clone());
        registry.register("cache_used_tokens", "Tokens of the caches in use", new.cache_used.clone());
        registry.register("cache_tokens", "Tokens that the caches hold", cache);
        registry.register("drafted_tokens", "Tokens that draft models proposed", new.proposed.clone());
        registry.register("drafted_tokens_accepted", "Of these, tokens that were drawn too", new.accepted.clone());
        registry.register("connections", "Open connections", new.connections.clone());
        Self { registry, ..new }
    }

    /// A request has ended.
    pub(crate) fn answered(&self, path: &'static str, status: u16, took: Duration, is_gone: bool) {
        self.requests.get_or_create(&Answered { path, status }).inc();
        self.request_seconds.observe(took.as_secs_f64());
        self.gone.inc_by(u64::from(is_gone));
    }

    pub(crate) fn prompt(&self, n_tokens: usize) {
        self.prompt_tokens.inc_by(n_tokens as u64);
    }

    pub(crate) fn first_token(&self, took: Duration) {
        self.first_token_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn token(&self) {
        self.written_tokens.inc();
    }

    /// What the engines are at.
    pub(crate) fn load(&self, waiting: usize, running: usize, cache_used: usize) {
        self.waiting.set(waiting as i64);
        self.running.set(running as i64);
        self.cache_used.set(cache_used as i64);
    }

    /// How well draft models foretold so far.
    pub(crate) fn speculation(&self, proposed: u64, accepted: u64) {
        self.proposed.set(proposed as i64);
        self.accepted.set(accepted as i64);
    }

    pub(crate) fn connections(&self) -> &Gauge<i64, std::sync::atomic::AtomicI64> {
        &self.connections
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}
