//! Servers of a recipe.

use std::time::Duration;

use tutelage_run::read_text;
use tutelage_teacher::remote::ServerConfig;

use super::ServerPlan;
use super::resolve::{Found, lookup};
use crate::RecipeError;

/// The server of this name, for `user`.
pub(super) fn server(found: Found<'_>, name: &str, user: &str) -> Result<ServerPlan, RecipeError> {
    let spec = lookup(&found.spec.servers, "servers", name, user)?;
    let fault = |key: &str, rule: &str| Err(RecipeError::request(format!("servers.{name}.{key} must be {rule}")));
    match spec.url.split_once("://") {
        Some(("http", rest)) if !rest.is_empty() => {}
        Some(("https", _)) => {
            return fault(
                "url",
                "http: this program has no TLS; let a proxy beside it (stunnel, nginx, ssh -L) speak https",
            );
        }
        _ => return fault("url", "an address, as in http://host:8000/v1"),
    }
    if spec.connections == 0 || spec.connections > 256 {
        return fault("connections", "from 1 to 256");
    }
    if spec.request_tokens == 0 {
        return fault("request_tokens", "at least 1");
    }
    if !(spec.timeout_seconds > 0.0 && spec.timeout_seconds <= 86_400.0) {
        return fault("timeout_seconds", "above 0, and a day at most");
    }
    let api_key = spec.api_key_file.as_ref().map(|path| read_text(path)).transpose()?;
    let config = ServerConfig {
        url: spec.url.clone(),
        model: spec.model.clone(),
        api_key: api_key.map(|key| key.trim().to_owned()),
        connections: spec.connections,
        request_tokens: spec.request_tokens,
        timeout: Duration::from_secs_f64(spec.timeout_seconds),
        retries: spec.retries,
        budget: spec.budget,
    };
    Ok(ServerPlan { name: name.to_owned(), config })
}
