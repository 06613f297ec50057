//! `tutelage serve` as a user meets it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::Bench;

/// A server that runs.
pub(crate) struct Server {
    child: Child,
    errors: BufReader<std::process::ChildStderr>,
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn start(bench: &Bench, args: &[&str], key: Option<&str>) -> Self {
        let args = [&["serve", "--port", "0"][..], args].concat();
        let mut command = bench.command(&args);
        command.stderr(Stdio::piped()).env_remove("TUTELAGE_API_KEY");
        if let Some(key) = key {
            command.env("TUTELAGE_API_KEY", key);
        }
        let mut child = command.spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(' ').next());
        let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { child, errors, address }
    }

    fn post(&self, path: &str, header: &str, body: &Value) -> String {
        let body = body.to_string();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             {header}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Asks it to stop; its exit code and what it still said.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        let mut said = String::new();
        self.errors.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

/// A test that fails leaves no server behind, which would hold its output open.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_serves_logs_and_stops() {
    let bench = Bench::new("serve");
    bench.succeed(&["run", "tiny.toml", "--out", "run"]);
    let (teacher, student) = ("large=run/models/teacher/model", "run/models/text/model");
    let server = Server::start(&bench, &[teacher, student, "--access-log", "access.jsonl"], Some("secret"));
    let body = json!({ "prompt": "the king", "max_tokens": 5, "temperature": 0, "model": "large" });
    assert!(server.post("/v1/completions", "", &body).starts_with("HTTP/1.1 401"));
    let answer = server.post("/v1/completions", "Authorization: Bearer secret\r\n", &body);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let found: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let generated = bench.succeed(&[
        "generate",
        "run/models/teacher/model",
        "--prompt",
        "the king",
        "--max-tokens",
        "5",
        "--temperature",
        "0",
        "--top-p",
        "1",
        "--json",
    ]);
    let generated: Value = serde_json::from_str(&generated).unwrap();
    assert_eq!(found["choices"][0]["text"], generated["text"], "as by the command");
    let (code, said) = server.stop();
    assert!(code == Some(0) && said.contains("all requests are finished"), "{code:?} {said}");
    let log = std::fs::read_to_string(bench.path("access.jsonl")).unwrap();
    let statuses: Vec<u64> =
        log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["status"].as_u64().unwrap()).collect();
    assert!(statuses == [401, 200] && !log.contains("king"), "{log}");
}

#[test]
fn wrong_servers_are_refused() {
    let bench = Bench::new("serve-wrong");
    bench.succeed(&["run", "tiny.toml", "--out", "run"]);
    let model = "run/models/teacher/model";
    std::fs::write(bench.path("none.txt"), "\n\n").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (args, message) in [
        (&[][..], "MODEL"),
        (&["nowhere"], "nowhere"),
        (&["=nowhere"], "expected NAME=PATH"),
        (&["tiny.toml"], "tiny.toml"),
        (&[model, model], "two models are called 'model'"),
        (&[model, "--port", &port], "cannot listen on"),
        (&[model, "--port", "99999"], "--port"),
        (&[model, "--host", "nonsense"], "--host"),
        (&[model, "--api-key-file", "none.txt"], "holds no keys"),
        (&[model, "--api-key-file", "absent.txt"], "absent.txt"),
        (&[model, "--max-body", "lots"], "--max-body"),
        (&[model, "--dtype", "int3"], "--dtype"),
        (&[model, "--access-log", "absent/log.jsonl"], "absent/log.jsonl"),
        (&[model, "--draft-tokens", "3"], "--draft"),
        (&[model, "b=run/models/text/model", "--draft", "run/models/text/model"], "--draft goes with one model"),
        (&[model, "--quiet", "--log-prompts"], "cannot be used with"),
    ] {
        let found = bench.refuse(&[&["serve"][..], args].concat());
        assert!(found.contains(message), "{args:?}: {found}");
    }
}
