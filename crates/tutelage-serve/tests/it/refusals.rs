//! Wrong requests are refused, and say what is wrong.

use serde_json::{Value, json};

use crate::support::{Server, config, post};

#[test]
fn wrong_settings_are_named() {
    let server = Server::usual();
    let user = json!([{ "role": "user", "content": "a" }]);
    let tool = json!([{ "type": "function", "function": { "name": "f" } }]);
    let cases: Vec<(&str, Value, u16, &str)> = vec![
        ("/v1/completions", json!({}), 400, "prompt"),
        ("/v1/completions", json!([]), 400, "body"),
        ("/v1/completions", json!({ "prompt": "a", "wish": 1 }), 400, "wish"),
        ("/v1/completions", json!({ "prompt": "a", "model": "other" }), 404, "other"),
        ("/v1/completions", json!({ "prompt": "a", "suffix": "b" }), 400, "suffix"),
        ("/v1/completions", json!({ "prompt": "a", "temperature": -1 }), 400, "temperature"),
        ("/v1/completions", json!({ "prompt": "a", "temperature": "1" }), 400, "temperature"),
        ("/v1/completions", json!({ "prompt": "a", "top_p": 0 }), 400, "top_p"),
        ("/v1/completions", json!({ "prompt": "a", "top_k": -2 }), 400, "top_k"),
        ("/v1/completions", json!({ "prompt": "a", "n": 0 }), 400, "n"),
        ("/v1/completions", json!({ "prompt": "a", "n": 129 }), 400, "n"),
        ("/v1/completions", json!({ "prompt": "a", "n": 2, "best_of": 1 }), 400, "best_of"),
        ("/v1/completions", json!({ "prompt": "a", "best_of": 2, "stream": true }), 400, "best_of"),
        ("/v1/completions", json!({ "prompt": "a", "logprobs": 101 }), 400, "logprobs"),
        ("/v1/completions", json!({ "prompt": "a", "stop": [""] }), 400, "stop"),
        ("/v1/completions", json!({ "prompt": "a", "logit_bias": { "x": 1 } }), 400, "logit_bias"),
        ("/v1/completions", json!({ "prompt": "a", "stream_options": { "x": 1 } }), 400, "stream_options"),
        ("/v1/completions", json!({ "prompt": "a", "store": true }), 400, "store"),
        ("/v1/completions", json!({ "prompt": [] }), 400, "prompt"),
        ("/v1/completions", json!({ "prompt": [[]] }), 400, "no tokens"),
        ("/v1/completions", json!({ "prompt": [300] }), 400, "300"),
        ("/v1/completions", json!({ "prompt": vec![5; 5000] }), 400, "4096"),
        ("/v1/completions", json!({ "prompt": "a".repeat(200_000) }), 400, "cannot fit"),
        ("/v1/completions", json!({ "prompt": "a", "max_tokens": -1 }), 400, "max_tokens"),
        ("/v1/completions", json!({ "prompt": "a", "max_tokens": 9_999_999 }), 400, "max_tokens"),
        ("/v1/completions", json!({ "prompt": "a", "response_format": { "type": "xml" } }), 400, "response_format"),
        (
            "/v1/completions",
            json!({ "prompt": "a", "response_format": { "type": "regex", "pattern": "(" } }),
            400,
            "regular",
        ),
        (
            "/v1/completions",
            json!({ "prompt": "a", "response_format": { "type": "json_schema", "json_schema": { "schema": { "type": "x" } } } }),
            400,
            "JSON schema",
        ),
        ("/v1/chat/completions", json!({ "messages": [] }), 400, "messages"),
        ("/v1/chat/completions", json!({ "messages": [{ "role": "user" }] }), 400, "messages[0].content"),
        ("/v1/chat/completions", json!({ "messages": user, "top_logprobs": 2 }), 400, "top_logprobs"),
        ("/v1/chat/completions", json!({ "messages": user, "max_tokens": 0 }), 400, "max_tokens"),
        ("/v1/chat/completions", json!({ "messages": user, "tool_choice": "required" }), 400, "tool_choice"),
        ("/v1/chat/completions", json!({ "messages": user, "tools": [{ "type": "x", "function": {} }] }), 400, "tools"),
        (
            "/v1/chat/completions",
            json!({ "messages": user, "tools": tool, "tool_choice": "required", "response_format": { "type": "json_object" } }),
            400,
            "response_format",
        ),
        ("/v1/embeddings", json!({ "input": "a", "dimensions": 3 }), 400, "dimensions"),
        ("/v1/embeddings", json!({ "input": "a", "encoding_format": "hex" }), 400, "encoding_format"),
        ("/tokenize", json!({ "text": 1 }), 400, "text"),
        ("/detokenize", json!({ "tokens": [300] }), 400, "300"),
    ];
    for (path, body, status, said) in cases {
        let answer = server.post(path, &body);
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(answer.status == status && message.contains(said), "{path} {body}: {answer:?}");
    }
    assert_eq!(server.get("/v1/models/other").status, 404);
    assert_eq!(server.get("/v1/completions").status, 405);
    assert_eq!(server.get("/../../etc/passwd").status, 404);
    assert_eq!(server.get("//v1//models/..%2f..%2f").status, 404);
    let plain = post("/v1/completions", "", "{}").replace("application/json", "text/plain");
    assert_eq!(server.send(&plain).status, 415);
    let deep = "[".repeat(100_000);
    assert_eq!(server.send(&post("/v1/completions", "", &deep)).status, 400);
    assert_eq!(server.send(&post("/v1/completions", "", "{\"prompt\": \"a\"} x")).status, 400);
    // The server lives.
    assert_eq!(server.get("/health").status, 200);
    server.end();
}

#[test]
fn keys_and_names_are_asked_for() {
    let mut with_keys = config();
    with_keys.api_keys = vec!["one".to_owned(), "two".to_owned()];
    let server = Server::start(with_keys);
    let body = json!({ "text": "a" }).to_string();
    let with = |header: &str| server.send(&post("/tokenize", header, &body));
    assert_eq!(with("").status, 401);
    for wrong in ["Authorization: Bearer on\r\n", "Authorization: one\r\n", "Authorization: Bearer \r\n"] {
        assert_eq!(with(wrong).status, 401, "{wrong}");
    }
    assert!(with("").head.contains("www-authenticate: bearer"));
    assert_eq!(with("Authorization: Bearer two\r\n").status, 200);
    assert_eq!((server.get("/health").status, server.get("/").status, server.get("/metrics").status), (200, 200, 401));
    // A site whose name points here is not this server.
    let named = |name: &str| server.send(&format!("GET /health HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"));
    for known in ["localhost", "LOCALHOST:80", "127.0.0.1:8000", "[::1]:8000", "[::1]"] {
        assert_eq!(named(known).status, 200, "{known}");
    }
    for other in ["evil.example", "localhost.evil.example:8000", ""] {
        assert_eq!(named(other).status, 421, "{other}");
    }
    let mut named = config();
    named.hosts = vec!["box.example".to_owned()];
    let server = Server::start(named);
    assert_eq!(server.send("GET /health HTTP/1.1\r\nHost: box.example\r\nConnection: close\r\n\r\n").status, 200);
}

#[test]
fn texts_are_logged_only_when_asked_for() {
    for logs_texts in [false, true] {
        let server = Server::start(tutelage_serve::ServeConfig { logs_texts, ..config() });
        server.post("/v1/completions", &json!({ "prompt": "a secret", "max_tokens": 3, "ignore_eos": true }));
        server.get("/made/up");
        server.until("the log", |server| server.log.lock().unwrap().len() == 2);
        let log = server.log.lock().unwrap();
        let text = serde_json::to_string(&log[0]).unwrap();
        assert_eq!(text.contains("secret"), logs_texts, "{text}");
        let facts = &log[0].facts;
        assert!(facts.completion_tokens == 3 && facts.prompt_tokens > 1 && facts.model.as_deref() == Some("tiny"));
        assert_eq!((log[0].status, log[0].gone, log[0].path), (200, false, "/v1/completions"));
        assert_eq!((log[1].status, log[1].path), (404, "other"), "what clients make up is not logged");
    }
}

#[test]
fn models_of_one_name_are_refused() {
    let mut twice = config();
    twice.models.extend(config().models);
    let refused = tutelage_serve::serve(&twice, std::sync::Arc::new(|_| {}), &Default::default(), |_| {});
    assert!(refused.unwrap_err().to_string().contains("tiny"));
}
