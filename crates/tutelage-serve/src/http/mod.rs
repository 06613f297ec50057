//! Everything that can be asked for.

mod access;
mod app;
mod chat;
mod completions;
mod description;
mod embeddings;
mod failure;
mod guard;
mod logprobs;
mod messages;
mod payload;
mod plain;
mod prompts;
mod settings;
mod stream;
mod tokens;
mod tools;
mod written;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

pub use access::{AccessEntry, AccessLog, Facts};
pub(crate) use app::App;
pub(crate) use guard::Peer;

use failure::Failure;

/// Every path but those of single models.
const PATHS: [&str; 11] = [
    "/",
    "/health",
    "/metrics",
    "/openapi.json",
    "/v1/models",
    "/v1/completions",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/tokenize",
    "/detokenize",
    "/favicon.ico",
];
/// A single model.
const MODEL_PATH: &str = "/v1/models/{model}";

/// The server's answers.
pub(crate) fn router(app: Arc<App>) -> Router {
    let unknown =
        async || Failure::new(StatusCode::NOT_FOUND, "there is nothing here; /openapi.json lists what there is");
    let not_so = async || Failure::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method; see /openapi.json");
    Router::new()
        .route("/", get(plain::page))
        .route("/favicon.ico", get(plain::no_content))
        .route("/health", get(plain::health))
        .route("/metrics", get(plain::metrics))
        .route("/openapi.json", get(plain::openapi))
        .route("/v1/models", get(plain::models))
        .route(MODEL_PATH, get(plain::model))
        .route("/v1/completions", post(completions::completions))
        .route("/v1/chat/completions", post(chat::chat))
        .route("/v1/embeddings", post(embeddings::embeddings))
        .route("/tokenize", post(tokens::tokenize))
        .route("/detokenize", post(tokens::detokenize))
        .fallback(unknown)
        .method_not_allowed_fallback(not_so)
        .layer(from_fn_with_state(Arc::clone(&app), guard::guard))
        .with_state(app)
}
