//! Clients that go away, and a server that does.

use std::io::{BufRead, BufReader, Read, Write};

use serde_json::json;

use crate::support::{Answer, Server, post};

fn long(stream: bool) -> String {
    let body = json!({ "prompt": "a", "max_tokens": 1900, "ignore_eos": true, "stream": stream, "n": 4 });
    post("/v1/completions", "", &body.to_string())
}

#[test]
fn a_client_that_goes_away_frees_its_slots() {
    let server = Server::usual();
    for streams in [true, false] {
        let mut stream = server.connect();
        stream.write_all(long(streams).as_bytes()).unwrap();
        if streams {
            // In the middle of the stream.
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            while !{
                let mut line = String::new();
                lines.read_line(&mut line).unwrap();
                line.starts_with("data: ")
            } {}
        }
        server.until("the texts", |server| server.metric("tutelage_running") == 4.0);
        assert!(server.metric("tutelage_cache_used_tokens") > 0.0);
        drop(stream);
        server.until("the end", |server| server.metric("tutelage_running") == 0.0);
        assert_eq!(server.metric("tutelage_cache_used_tokens"), 0.0);
    }
    server.until("the log", |server| server.log.lock().unwrap().iter().filter(|entry| entry.gone).count() == 2);
    let log = server.log.lock().unwrap();
    let gone: Vec<u16> = log.iter().filter(|entry| entry.gone).map(|entry| entry.status).collect();
    assert_eq!(gone, [200, 499]);
}

#[test]
fn a_server_that_stops_finishes_what_runs() {
    let server = Server::usual();
    let mut stream = server.connect();
    let body = json!({ "prompt": "a", "max_tokens": 300, "ignore_eos": true, "stream": true, "temperature": 0 });
    stream.write_all(post("/v1/completions", "", &body.to_string()).as_bytes()).unwrap();
    server.until("the text", |server| server.metric("tutelage_running") == 1.0);
    // A connection that does nothing does not hold it up.
    let mut idle = server.connect();
    server.stop.raise();
    let answer = Answer::read(stream);
    let parts = answer.parts();
    assert_eq!(parts.last().unwrap()["choices"][0]["finish_reason"], "length");
    server.end();
    let mut left = Vec::new();
    assert_eq!(idle.read_to_end(&mut left).unwrap_or(0), 0);
}
