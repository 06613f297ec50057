//! `/tokenize` and `/detokenize`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::app::App;
use super::failure::{Failure, json_response};
use super::payload::Payload;

/// A text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenizeRequest {
    text: String,
    model: Option<String>,
    /// Whether what the model expects before a text comes first, as in completions.
    add_special: Option<bool>,
}

/// Tokens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DetokenizeRequest {
    tokens: Vec<u32>,
    model: Option<String>,
}

pub(super) async fn tokenize(
    State(app): State<Arc<App>>,
    Payload(asked): Payload<TokenizeRequest>,
) -> Result<Response, Failure> {
    let (_, model) = app.model(asked.model.as_deref())?;
    let with_start = asked.add_special.unwrap_or(true);
    let ids = model
        .run(move |generator| match with_start {
            true => generator.prompt(&asked.text),
            false => Ok(generator.tokenizer().encode(&asked.text)?),
        })
        .await?;
    let pieces: Vec<String> = ids.iter().map(|&id| model.shown(id)).collect();
    let max_model_len = model.generator.n_positions();
    let body = json!({ "tokens": ids, "pieces": pieces, "count": ids.len(), "max_model_len": max_model_len });
    Ok(json_response(StatusCode::OK, &body))
}

pub(super) async fn detokenize(
    State(app): State<Arc<App>>,
    Payload(asked): Payload<DetokenizeRequest>,
) -> Result<Response, Failure> {
    let (_, model) = app.model(asked.model.as_deref())?;
    let n = model.spellings.len();
    if let Some(id) = asked.tokens.iter().find(|&&id| id as usize >= n) {
        return Err(Failure::param("tokens", format!("{id} is no token: the tokenizer has {n} entries")));
    }
    let text = model.run(move |generator| Ok(generator.tokenizer().decode(&asked.tokens)?)).await?;
    Ok(json_response(StatusCode::OK, &json!({ "text": text })))
}
