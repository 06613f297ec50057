//! Bodies, within bounds of size, of time, and of what all of them take together.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;

use super::app::App;
use super::failure::Failure;

/// A body of JSON.
pub(crate) struct Payload<T>(pub(crate) T);

/// Bodies up to here are not counted together: their number is bounded by that of connections.
const SMALL: usize = 64 << 10;
/// What permits count in.
const UNIT: usize = 1 << 10;

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

fn too_large(limit: usize) -> Failure {
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes"))
}

async fn read(app: &App, mut body: Body) -> Result<Bytes, Failure> {
    let limit = app.limits.body_bytes;
    let mut bytes = Vec::new();
    // Given back when the body is parsed.
    let mut permits: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Failure::wrong("the body ended in the middle"))?.into_data() else { continue };
        bytes.extend_from_slice(&data);
        if bytes.len() > limit {
            return Err(too_large(limit));
        }
        let held = permits.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let needed = if bytes.len() > SMALL { bytes.len().div_ceil(UNIT) } else { 0 };
        if needed > held {
            let more = Arc::clone(&app.body_units).try_acquire_many_owned((needed - held) as u32);
            let more = more.map_err(|_| Failure::busy("too many large bodies are being read; try again later", 1))?;
            match &mut permits {
                Some(held) => held.merge(more),
                None => permits = Some(more),
            }
        }
    }
    Ok(bytes.into())
}

/// Units of [`App::body_units`] in so many bytes.
pub(crate) fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT)
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Payload<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Failure> {
        if !is_json(request.headers()) {
            let message = "the body must be JSON: send Content-Type: application/json";
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        if declared.and_then(|n| n.parse::<u64>().ok()).is_some_and(|n| n > app.limits.body_bytes as u64) {
            return Err(too_large(app.limits.body_bytes));
        }
        let read = tokio::time::timeout(app.limits.body_time, read(app, request.into_body()));
        let late = |_| Failure::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive");
        let bytes = read.await.map_err(late)??;
        parse(&bytes).map(Payload)
    }
}

/// Reads JSON; says which setting is wrong.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let found = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        match &path[..] {
            "." => Failure::wrong(format!("the body is wrong: {message}")),
            path => Failure::param(path, message),
        }
    })?;
    reader.end().map_err(|error| Failure::wrong(format!("the body is wrong: {error}")))?;
    Ok(found)
}
