//! What needs no model: the page, the description, health, metrics, the list of models.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};

use super::app::{App, Model};
use super::failure::{Failure, json_response};

/// The chat page may load nothing from elsewhere, and nobody may put it into a frame.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) async fn page() -> Response {
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-cache")];
    (headers, Html(include_str!("page.html"))).into_response()
}

pub(super) async fn no_content() -> StatusCode {
    StatusCode::NO_CONTENT
}

pub(super) async fn openapi(State(app): State<Arc<App>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], app.description.clone()).into_response()
}

pub(super) async fn health(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    match app.scheduler.failure() {
        Some(failure) => Err(Failure::unavailable(failure)),
        None => Ok(json_response(StatusCode::OK, &json!({ "status": "ok" }))),
    }
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text()).into_response()
}

fn described(app: &App, model: &Model) -> Value {
    json!({
        "id": model.name, "object": "model", "created": app.created, "owned_by": "tutelage",
        "max_model_len": model.generator.n_positions(),
    })
}

pub(super) async fn models(State(app): State<Arc<App>>) -> Response {
    let all: Vec<Value> = app.models.iter().map(|model| described(&app, model)).collect();
    json_response(StatusCode::OK, &json!({ "object": "list", "data": all }))
}

pub(super) async fn model(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Response, Failure> {
    let (_, model) = app.model(Some(&name))?;
    Ok(json_response(StatusCode::OK, &described(&app, &model)))
}
