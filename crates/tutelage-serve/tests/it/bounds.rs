//! Bounds hold, whatever clients do.

use std::io::Write;
use std::time::Duration;

use serde_json::json;
use tutelage_serve::{EngineLimits, ServeConfig, ServeLimits};

use crate::support::{Answer, Server, config, post};

fn with(limits: ServeLimits) -> Server {
    Server::start(ServeConfig { limits, ..config() })
}

#[test]
fn bodies_are_bounded_in_size_and_time() {
    let server = with(ServeLimits {
        body_bytes: 100_000,
        all_body_bytes: 150_000,
        body_time: Duration::from_millis(300),
        header_time: Duration::from_millis(300),
        ..ServeLimits::default()
    });
    // Declared, and not declared.
    let large = json!({ "text": "a".repeat(100_000) }).to_string();
    assert_eq!(server.send(&post("/tokenize", "", &large)).status, 413);
    let head = "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, " ".repeat(60_000));
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    assert_eq!(server.send(&chunked).status, 413);
    // A body that stops in the middle.
    let half = format!("{head}Content-Length: 1000\r\n\r\n{{\"text\"");
    assert_eq!(server.send(&half).status, 408);
    // Two large ones that stop take all the room there is; small ones need none.
    let stuck = format!("{head}Content-Length: 99000\r\n\r\n{}", " ".repeat(90_000));
    let mut streams = [server.connect(), server.connect()];
    streams.iter_mut().for_each(|stream| stream.write_all(stuck.as_bytes()).unwrap());
    assert_eq!(server.post("/tokenize", &json!({ "text": "a" })).status, 200);
    let mut statuses = streams.map(|stream| Answer::read(stream).status);
    statuses.sort_unstable();
    assert_eq!(statuses, [408, 429]);
    // A head that never ends, and one that is too large.
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost:").unwrap();
    assert!([0, 408].contains(&Answer::read(stream).status));
    let many: String = (0..200).map(|i| format!("X-{i}: y\r\n")).collect();
    assert_eq!(server.send(&format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n")).status, 431);
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(100_000));
    assert!([0, 414, 431].contains(&server.send(&long).status));
    assert_eq!(server.send("\r\n\r\n\0\0garbage\r\n\r\n").status, 400);
    assert_eq!(server.get("/health").status, 200);
    server.end();
}

#[test]
fn what_cannot_wait_is_told_when_to_come_back() {
    let mut config = config();
    config.models[0].limits = EngineLimits { max_running: 1, ..config.models[0].limits };
    config.limits = ServeLimits { waiting: 4, waiting_of_client: 2, ..ServeLimits::default() };
    let server = Server::start(config);
    let long = json!({ "prompt": "a", "max_tokens": 4000, "ignore_eos": true, "stream": true }).to_string();
    // One runs, one is held by the engine, two wait.
    let streams: Vec<_> = (0..4)
        .map(|n| {
            let mut stream = server.connect();
            stream.write_all(post("/v1/completions", "", &long).as_bytes()).unwrap();
            // Each is taken before the next comes.
            server.until("the request", |server| {
                server.metric("tutelage_running") + server.metric("tutelage_waiting") == f64::from(n + 1)
            });
            stream
        })
        .collect();
    let refused = server.post("/v1/completions", &json!({ "prompt": "a" }));
    assert_eq!(refused.status, 429);
    let seconds = refused.head.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap();
    assert!((1..=60).contains(&seconds.parse::<u64>().unwrap()));
    // When they are gone there is room.
    drop(streams);
    server.until("room", |server| server.metric("tutelage_running") == 0.0);
    assert_eq!(server.post("/v1/completions", &json!({ "prompt": "a", "max_tokens": 1 })).status, 200);
}

#[test]
fn a_request_has_its_time() {
    let server = with(ServeLimits { request_time: Duration::from_millis(200), ..ServeLimits::default() });
    let mut long = json!({ "prompt": ["a", "b"], "max_tokens": 4000, "ignore_eos": true, "n": 16 });
    let answer = server.post("/v1/completions", &long);
    assert!(answer.status == 504 && answer.json()["error"]["type"] == "server_error", "{answer:?}");
    long["stream"] = json!(true);
    let parts = server.post("/v1/completions", &long).parts();
    assert!(parts.last().unwrap()["error"]["message"].as_str().unwrap().contains("time"));
    server.until("the engine's rest", |server| server.metric("tutelage_running") == 0.0);
}
