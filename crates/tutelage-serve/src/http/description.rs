//! `/openapi.json`: the description, with the bounds of this server.

use std::sync::Arc;

use serde_json::{Value, json};

use super::app::Model;
use crate::config::ServeLimits;

/// The description, for these models and bounds.
pub(super) fn description(models: &[Arc<Model>], limits: &ServeLimits) -> String {
    // A file of our own, which a test reads.
    let mut document: Value = serde_json::from_str(include_str!("openapi.json")).unwrap_or_default();
    let names: Vec<Option<&str>> = models.iter().map(|model| Some(&model.name[..])).chain([None]).collect();
    let ids = models.iter().map(|model| model.spellings.len()).max().unwrap_or(0).saturating_sub(1);
    let bounds = [
        ("CompletionRequest", "prompt", "maxItems", limits.prompts),
        ("CompletionRequest", "max_tokens", "maximum", limits.max_tokens),
        ("CompletionRequest", "logprobs", "maximum", limits.logprobs),
        ("CompletionRequest", "best_of", "maximum", limits.samples),
        ("CompletionRequest", "n", "maximum", limits.samples),
        ("ChatRequest", "max_tokens", "maximum", limits.max_tokens),
        ("ChatRequest", "max_completion_tokens", "maximum", limits.max_tokens),
        ("ChatRequest", "top_logprobs", "maximum", limits.logprobs),
        ("ChatRequest", "n", "maximum", limits.samples),
        ("EmbeddingRequest", "input", "maxItems", limits.prompts),
    ];
    let schemas = &mut document["components"]["schemas"];
    for (schema, field, bound, value) in bounds {
        set(&mut schemas[schema]["properties"][field], bound, &json!(value));
    }
    for (schema, field) in
        [("CompletionRequest", "prompt"), ("EmbeddingRequest", "input"), ("DetokenizeRequest", "tokens")]
    {
        set_ids(&mut schemas[schema]["properties"][field], ids);
    }
    for (_, schema) in schemas.as_object_mut().into_iter().flatten() {
        if let Some(model @ Value::Object(_)) = schema.pointer_mut("/properties/model")
            && model["type"].is_array()
        {
            model["enum"] = json!(names);
        }
    }
    document.to_string()
}

/// Sets a bound wherever there is one of its kind, in a schema or the forms that it may take.
fn set(schema: &mut Value, bound: &str, value: &Value) {
    if schema.get(bound).is_some() {
        schema[bound] = value.clone();
    }
    for form in schema.get_mut("anyOf").and_then(Value::as_array_mut).into_iter().flatten() {
        set(form, bound, value);
    }
}

/// The largest id, wherever ids are.
fn set_ids(schema: &mut Value, most: usize) {
    match schema {
        Value::Object(fields) => {
            if fields.get("type").is_some_and(|kind| kind == "integer") && fields.contains_key("maximum") {
                fields.insert("maximum".to_owned(), json!(most));
            }
            fields.values_mut().for_each(|value| set_ids(value, most));
        }
        Value::Array(all) => all.iter_mut().for_each(|value| set_ids(value, most)),
        _ => {}
    }
}
