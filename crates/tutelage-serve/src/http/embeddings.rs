//! `/v1/embeddings`: means of last hidden states.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tutelage_generate::Request;

use super::access::Arrival;
use super::app::App;
use super::failure::{Failure, json_response};
use super::payload::Payload;
use super::prompts::Prompts;
use super::written::next;
use crate::worker::JobEvent;

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EmbeddingRequest {
    input: Prompts,
    model: Option<String>,
    encoding_format: Option<Encoding>,
    dimensions: Option<usize>,
    /// For the client's own use.
    #[serde(rename = "user")]
    _user: Option<String>,
}

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Encoding {
    Float,
    Base64,
}

pub(super) async fn embeddings(
    State(app): State<Arc<App>>,
    Extension(arrival): Extension<Arrival>,
    Payload(asked): Payload<EmbeddingRequest>,
) -> Result<Response, Failure> {
    let (at, model) = app.model(asked.model.as_deref())?;
    let ids = asked.input.ids(&model, app.limits.prompts, "input").await?;
    let d_model = model.generator.model().config().d_model;
    if asked.dimensions.is_some_and(|n| n != d_model) {
        return Err(Failure::param("dimensions", format!("this model's embeddings have {d_model} and are not cut")));
    }
    let (n, n_tokens) = (ids.len(), ids.iter().map(Vec::len).sum::<usize>());
    let request = |prompt| Request { embeds: true, ..Request::new(prompt, 0) };
    let mut job = app.submit(at, &arrival, ids.into_iter().map(request).collect()).await?;
    let mut found: Vec<Value> = vec![Value::Null; n];
    let mut n_left = n;
    while n_left > 0 {
        match next(&app, &arrival, &mut job).await? {
            Some(JobEvent::Embedding { prompt, mean_d }) => {
                let embedding = match asked.encoding_format.unwrap_or(Encoding::Float) {
                    Encoding::Float => json!(mean_d),
                    Encoding::Base64 => {
                        let bytes: Vec<u8> = mean_d.iter().flat_map(|x| x.to_le_bytes()).collect();
                        json!(base64::engine::general_purpose::STANDARD.encode(bytes))
                    }
                };
                found[prompt] = json!({ "object": "embedding", "index": prompt, "embedding": embedding });
            }
            Some(JobEvent::Done { .. }) => n_left -= 1,
            Some(_) => {}
            None => return Err(app.gone()),
        }
    }
    let usage = json!({ "prompt_tokens": n_tokens, "total_tokens": n_tokens });
    let body = json!({ "object": "list", "data": found, "model": model.name, "usage": usage });
    Ok(json_response(StatusCode::OK, &body))
}
