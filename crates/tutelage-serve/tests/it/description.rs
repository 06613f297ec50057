//! `/openapi.json` and the server are the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::Server;

#[test]
fn every_path_and_method_is_there() {
    let server = Server::usual();
    let document = server.get("/openapi.json").json();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let real = path.replace("{model}", "tiny");
        let others = if methods.get("get").is_some() { server.post(&real, &json!({})) } else { server.get(&real) };
        assert_eq!(others.status, 405, "{path}");
        let own = if methods.get("get").is_some() { server.get(&real) } else { server.post(&real, &json!({})) };
        assert!([200, 204, 400].contains(&own.status), "{path}: {own:?}");
        let described = methods.as_object().unwrap().values().find_map(|method| method["responses"].as_object());
        assert!(described.unwrap().contains_key(&own.status.to_string()), "{path} answers {}", own.status);
    }
}

/// Fields that the server knows, by what it says of one that it does not.
fn known(server: &Server, path: &str) -> BTreeSet<String> {
    let message = server.post(path, &json!({ "?": 1 })).json()["error"]["message"].as_str().unwrap().to_owned();
    let (_, list) = message.split_once("expected one of ").or_else(|| message.split_once("expected ")).unwrap();
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_field_is_described() {
    let server = Server::usual();
    let document = server.get("/openapi.json").json();
    let mut n = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(schema) = methods.pointer("/post/requestBody/content/application~1json/schema/$ref") else { continue };
        let fields = &document.pointer(&schema.as_str().unwrap()[1..]).unwrap()["properties"];
        let fields: BTreeSet<String> = fields.as_object().unwrap().keys().cloned().collect();
        assert_eq!(fields, known(&server, path), "{path}");
        n += 1;
    }
    assert_eq!(n, 5);
}

#[test]
fn bounds_are_this_servers() {
    let server = Server::usual();
    let document = server.get("/openapi.json").json();
    let of = |place: &str| document.pointer(&format!("/components/schemas/{place}")).unwrap().clone();
    assert_eq!(of("CompletionRequest/properties/n/maximum"), 128);
    assert_eq!(of("CompletionRequest/properties/prompt/anyOf/3/items/items/maximum"), 299);
    assert_eq!(of("CompletionRequest/properties/prompt/anyOf/3/maxItems"), 2048);
    assert_eq!(of("CompletionRequest/properties/stop_token_ids/anyOf/0/items/maximum"), u32::MAX);
    assert_eq!(of("ChatRequest/properties/model/enum"), json!(["tiny", null]));
}

/// Whether a value has just the fields that a schema has.
fn check(document: &Value, schema: &Value, value: &Value, place: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(name) => document.pointer(&name[1..]).unwrap(),
        None => schema,
    };
    if let Some(Value::Array(any)) = schema.get("anyOf") {
        let kind = if value.is_null() { "null" } else { "" };
        let of_kind = any.iter().find(|schema| (schema["type"] == "null") == (kind == "null"));
        return check(document, of_kind.unwrap(), value, place);
    }
    match value {
        Value::Object(fields) if schema["properties"].is_object() => {
            for (name, value) in fields {
                let own = &schema["properties"][name];
                assert!(own.is_object(), "{place}.{name} is not described");
                check(document, own, value, &format!("{place}.{name}"));
            }
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(fields.contains_key(name.as_str().unwrap()), "{place}.{name} is missing");
            }
        }
        Value::Array(all) => all.iter().for_each(|value| check(document, &schema["items"], value, place)),
        _ => {}
    }
}

#[test]
fn answers_are_as_described() {
    let server = Server::usual();
    let document = server.get("/openapi.json").json();
    let messages = json!([{ "role": "user", "content": "a" }]);
    let tools = json!([{ "type": "function", "function": { "name": "f" } }]);
    let asked = [
        ("/v1/completions", json!({ "prompt": "a", "logprobs": 1, "max_tokens": 2, "echo": true })),
        ("/v1/completions", json!({ "prompt": "a", "max_tokens": 2 })),
        ("/v1/chat/completions", json!({ "messages": messages, "logprobs": true, "top_logprobs": 1, "max_tokens": 2 })),
        ("/v1/chat/completions", json!({ "messages": messages, "tools": tools, "tool_choice": "required" })),
        ("/v1/embeddings", json!({ "input": "a" })),
        ("/tokenize", json!({ "text": "a" })),
        ("/detokenize", json!({ "tokens": [5] })),
        ("/tokenize", json!({ "wrong": 5 })),
    ];
    for (path, body) in asked {
        let answer = server.post(path, &body);
        let at = format!(
            "/paths/{}/post/responses/{}/content/application~1json/schema",
            path.replace('/', "~1"),
            answer.status
        );
        check(&document, document.pointer(&at).unwrap(), &answer.json(), path);
    }
    for path in ["/v1/models", "/v1/models/{model}", "/health"] {
        let at = format!("/paths/{}/get/responses/200/content/application~1json/schema", path.replace('/', "~1"));
        let answer = server.get(&path.replace("{model}", "tiny")).json();
        check(&document, document.pointer(&at).unwrap(), &answer, path);
    }
}
