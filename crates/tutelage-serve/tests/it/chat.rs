//! Chats: answers, streams, tools, formats.

use serde_json::{Value, json};

use crate::support::Server;

fn asked(more: &Value) -> Value {
    let mut all = json!({
        "messages": [{ "role": "system", "content": "be short" }, { "role": "user", "content": "rain?" }],
        "max_tokens": 12, "seed": 4, "ignore_eos": true,
    });
    for (name, value) in more.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}

#[test]
fn a_chat_is_its_template_continued() {
    let server = Server::usual();
    let answer = server.post("/v1/chat/completions", &asked(&json!({ "logprobs": true, "top_logprobs": 2 }))).json();
    let choice = &answer["choices"][0];
    let rendered = "[system]be short[user]rain?[assistant]";
    let same = json!({ "prompt": rendered, "max_tokens": 12, "seed": 4, "ignore_eos": true, "logprobs": 2 });
    let text = server.post("/v1/completions", &same).json();
    assert_eq!(choice["message"], json!({ "role": "assistant", "content": text["choices"][0]["text"] }));
    assert_eq!(answer["usage"], text["usage"]);
    let content = choice["logprobs"]["content"].as_array().unwrap();
    let own: Value = content.iter().map(|token| token["logprob"].clone()).collect();
    assert_eq!(own, text["choices"][0]["logprobs"]["token_logprobs"]);
    assert!(content.iter().all(|token| token["top_logprobs"].as_array().unwrap().len() == 2));
    // Parts of contents, and the newer names.
    let parts = json!({
        "messages": [{ "role": "developer", "content": [{ "type": "text", "text": "be short" }] },
                     { "role": "user", "content": "rain?" }],
        "max_tokens": null, "max_completion_tokens": 12,
    });
    let found = server.post("/v1/chat/completions", &asked(&parts)).json();
    assert_eq!(found["choices"][0]["message"], choice["message"]);
    // In parts.
    let streamed = server.post("/v1/chat/completions", &asked(&json!({ "stream": true, "n": 2 }))).parts();
    assert_eq!(streamed[0]["choices"][0]["delta"]["role"], "assistant");
    let of_first = streamed.iter().map(|part| &part["choices"][0]).filter(|choice| choice["index"] == 0);
    let text: String = of_first.filter_map(|choice| choice["delta"]["content"].as_str()).collect();
    assert_eq!(text, choice["message"]["content"].as_str().unwrap());
}

#[test]
fn formats_are_kept_to() {
    let server = Server::usual();
    let schema = json!({
        "type": "object", "required": ["kind", "n"], "additionalProperties": false,
        "properties": { "kind": { "enum": ["cat", "dog"] }, "n": { "$ref": "#/$defs/n" } },
        "$defs": { "n": { "type": "integer", "minimum": 0, "maximum": 99 } },
    });
    for seed in 0..5 {
        let format = json!({ "type": "json_schema", "json_schema": { "name": "animal", "schema": schema } });
        let more = json!({ "response_format": format, "seed": seed, "max_tokens": 400, "ignore_eos": false });
        let answer = server.post("/v1/chat/completions", &asked(&more)).json();
        let choice = &answer["choices"][0];
        assert_eq!(choice["finish_reason"], "stop", "{answer}");
        let found: Value = serde_json::from_str(choice["message"]["content"].as_str().unwrap()).unwrap();
        assert!(["cat", "dog"].contains(&found["kind"].as_str().unwrap()) && found["n"].as_u64().unwrap() < 100);
        assert_eq!(found.as_object().unwrap().len(), 2);
    }
    let regex = json!({ "response_format": { "type": "regex", "pattern": "[ab]{3}-[0-9]+x" }, "max_tokens": 60 });
    let answer = server.post("/v1/chat/completions", &asked(&regex)).json();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    let (letters, digits) = text.trim_end_matches('x').split_once('-').unwrap();
    assert!(letters.len() == 3 && letters.chars().all(|c| "ab".contains(c)) && digits.chars().all(char::is_numeric));
}

#[test]
fn a_call_that_is_required_is_made() {
    let server = Server::usual();
    let parameters = json!({
        "type": "object", "required": ["city"], "additionalProperties": false,
        "properties": { "city": { "enum": ["Bergen", "Oslo"] } },
    });
    let tools = json!([{ "type": "function", "function": { "name": "weather", "parameters": parameters } }]);
    for choice in [json!("required"), json!({ "type": "function", "function": { "name": "weather" } })] {
        let more = json!({ "tools": tools, "tool_choice": choice, "max_tokens": 400, "ignore_eos": false });
        let answer = server.post("/v1/chat/completions", &asked(&more)).json();
        let message = &answer["choices"][0]["message"];
        assert_eq!((&answer["choices"][0]["finish_reason"], &message["content"]), (&json!("tool_calls"), &Value::Null));
        let call = &message["tool_calls"][0]["function"];
        let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
        assert!(call["name"] == "weather" && arguments["city"].is_string(), "{answer}");
        let mut more = more;
        more["stream"] = json!(true);
        let parts = server.post("/v1/chat/completions", &asked(&more)).parts();
        let calls: Vec<&Value> = parts.iter().filter_map(|p| p["choices"][0]["delta"].get("tool_calls")).collect();
        assert_eq!(calls.len(), 1);
        assert_eq!((&calls[0][0]["index"], &calls[0][0]["function"]), (&json!(0), call));
        assert_eq!(parts.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
    }
    // The template is shown the tools, unless none may be called.
    let n = |more: &Value| server.post("/v1/chat/completions", &asked(more)).json()["usage"]["prompt_tokens"].as_u64();
    let plain = n(&json!({}));
    assert!(n(&json!({ "tools": tools })) > plain);
    assert_eq!(n(&json!({ "tools": tools, "tool_choice": "none" })), plain);
}
