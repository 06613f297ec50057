//! Answers that come as they are written: server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value;

use super::failure::Failure;

/// What makes the parts of a stream.
pub(super) trait Parts: Send + 'static {
    /// The next parts; none at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<Value>>, Failure>> + Send;
}

/// How far a stream is.
enum State<P> {
    Open(P),
    Ending,
    Ended,
}

/// Sends parts as they come, then `[DONE]`. What fails is the last part, with its error.
pub(super) fn stream<P: Parts>(parts: P) -> Response {
    let events = stream::unfold(State::Open(parts), |state| async move {
        let data = |value: &Value| Event::default().data(value.to_string());
        match state {
            State::Open(mut parts) => Some(match parts.next().await {
                Ok(Some(values)) => (values.iter().map(data).collect(), State::Open(parts)),
                Ok(None) => (vec![Event::default().data("[DONE]")], State::Ended),
                Err(failure) => (vec![data(&failure.json())], State::Ending),
            }),
            State::Ending => Some((vec![Event::default().data("[DONE]")], State::Ended)),
            State::Ended => None,
        }
    });
    let events =
        futures_util::StreamExt::flat_map(events, |all| stream::iter(all.into_iter().map(Ok::<_, Infallible>)));
    let alive = KeepAlive::new().interval(Duration::from_secs(15));
    let mut response = Sse::new(events).keep_alive(alive).into_response();
    // Proxies that gather answers would undo it.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    response
}
