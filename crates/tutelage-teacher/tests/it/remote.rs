//! Servers that answer, fail, lie, hang and change.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tutelage_data::IGNORED;
use tutelage_loss::{Targets, Teacher};
use tutelage_run::StopFlag;
use tutelage_teacher::cache::{self, Kept, Outcome, Source};
use tutelage_teacher::remote::{RemoteError, RemoteSource, RemoteTeacher, ServerConfig, TokenizerProbe};

use crate::{Bench, VOCAB, bench, input, top};

const TOP_K: usize = 4;

/// How a server behaves from its n-th answer to completions on.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Manner {
    Honest,
    /// Status 500 for every second answer.
    Fails,
    Hangs,
    /// Half a body.
    Truncates,
    /// A token less.
    LosesTokens,
    /// Other tokens.
    OtherTokens,
    OtherName,
    /// Another model under the same name.
    OtherWeights,
    OtherFingerprint,
    FewerLogprobs,
    NamesWithoutIds,
    Hot,
    NoLogprobs,
    Refuses,
}

struct Fake {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Fake {
    fn new(manner: Manner, from: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let count = Arc::clone(&count);
                std::thread::spawn(move || connection(stream.unwrap(), manner, from, &count));
            }
        });
        Self { url, asked }
    }

    fn config(&self) -> ServerConfig {
        ServerConfig {
            url: self.url.clone(),
            model: Some("large".to_owned()),
            api_key: Some("secret".to_owned()),
            connections: 3,
            request_tokens: 20,
            timeout: Duration::from_millis(400),
            retries: 2,
            budget: 40,
        }
    }

    fn open(&self) -> Result<RemoteSource, RemoteError> {
        RemoteSource::open(self.config(), &top(1.0, TOP_K), VOCAB, &probe())
    }
}

/// The server makes an id of each byte, after one that begins texts.
fn probe() -> TokenizerProbe {
    TokenizerProbe { text: "abcdefgh".to_owned(), ids: (0..8).map(|i| (b'a' + i) as u32 % 50).collect() }
}

/// What the fake model thinks of the token after `id`.
fn says(id: u32, model: u32) -> Vec<(u32, f64)> {
    (0..TOP_K as u32)
        .map(|i| ((id * 3 + i * 7 + model * 11) % VOCAB as u32, [0.5f64, 0.3, 0.1, 0.05][i as usize].ln()))
        .collect()
}

fn connection(stream: TcpStream, manner: Manner, from: usize, count: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let (mut length, mut line, mut key) = (0, String::new(), false);
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            let lower = header.to_lowercase();
            length = lower.strip_prefix("content-length:").map_or(length, |n| n.trim().parse().unwrap());
            key |= lower.starts_with("authorization: bearer secret");
            if header.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        assert!(key);
        let number = count.fetch_add(1, Ordering::SeqCst);
        let manner = if number >= from { manner } else { Manner::Honest };
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let (status, answer) = answer(&asked, manner, number);
        let text = answer.to_string();
        let sent = if manner == Manner::Truncates { &text[..text.len() / 2] } else { &text };
        if manner == Manner::Hangs {
            std::thread::sleep(Duration::from_secs(2));
        }
        let head =
            format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", text.len());
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(sent.as_bytes())).is_err() {
            return;
        }
        if manner == Manner::Truncates {
            return;
        }
    }
}

fn answer(asked: &Value, manner: Manner, number: usize) -> (u16, Value) {
    match manner {
        Manner::Fails if number % 2 == 1 => return (500, json!({ "error": { "message": "out of luck" } })),
        Manner::Refuses => return (400, json!({ "error": { "message": "logprobs must be at most 1" } })),
        _ => {}
    }
    let logprobs = if manner == Manner::FewerLogprobs { 2 } else { asked["logprobs"].as_u64().unwrap() as usize };
    let model = u32::from(manner == Manner::OtherWeights);
    let choices: Vec<Value> = asked["prompt"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(index, prompt)| {
            let mut ids: Vec<u32> = match prompt {
                Value::String(text) => std::iter::once(1).chain(text.bytes().map(|b| u32::from(b) % 50)).collect(),
                ids => ids.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect(),
            };
            match manner {
                Manner::LosesTokens => ids.truncate(ids.len() - 1),
                Manner::OtherTokens => ids[1] = (ids[1] + 1) % 50,
                _ => {}
            }
            let name =
                |id: u32| if manner == Manner::NamesWithoutIds { format!("t{id}") } else { format!("token_id:{id}") };
            let top = |at: usize| match at.checked_sub(1) {
                None => Value::Null,
                Some(before) => {
                    let heat = if manner == Manner::Hot { 0.2 } else { 1.0 };
                    let found = says(ids[before], model).into_iter().take(logprobs.max(1));
                    let mut found: serde_json::Map<String, Value> =
                        found.map(|(id, log_p)| (name(id), json!(log_p * heat))).collect();
                    // As vLLM does, the prompt's own token beside the most likely.
                    found.entry(name(ids[at])).or_insert(json!(-9.5));
                    Value::Object(found)
                }
            };
            let logprobs = json!({
                "tokens": ids.iter().map(|&id| name(id)).collect::<Vec<_>>(),
                "top_logprobs": (0..ids.len()).map(top).collect::<Vec<_>>(),
            });
            let logprobs = if manner == Manner::NoLogprobs { Value::Null } else { logprobs };
            json!({ "index": index, "text": "", "logprobs": logprobs })
        })
        .collect();
    let model = if manner == Manner::OtherName { "small" } else { "large" };
    let fingerprint = if manner == Manner::OtherFingerprint { "b" } else { "a" };
    (200, json!({ "model": model, "system_fingerprint": fingerprint, "choices": choices }))
}

#[test]
fn a_server_says_of_every_learned_row_what_follows_it() {
    let bench = bench("remote", top(1.0, TOP_K));
    let fake = Fake::new(Manner::Honest, 0);
    let mut source = fake.open().unwrap();
    let batch = bench.batch(&[4, 0, 8, 2]);
    let rows = source.rows(&batch).unwrap();
    assert!(batch.labels.contains(&IGNORED));
    for (row, found) in rows.iter().enumerate().filter(|(row, _)| batch.labels[*row] != IGNORED) {
        let expected: Vec<(u32, f32)> =
            says(batch.ids[row] as u32, 0).into_iter().map(|(id, log_p)| (id, log_p as f32)).collect();
        assert_eq!(*found, expected, "{row}");
    }
    let Targets::TopPK(targets) = RemoteTeacher::new(source).targets(input(&batch)).unwrap().into_static() else {
        panic!("the most likely entries")
    };
    assert_eq!(targets.n_rows(), batch.ids.len());
    // Cut to a mass: 0.5 + 0.3 reach 0.7.
    let mut source = RemoteSource::open(fake.config(), &top(0.7, TOP_K), VOCAB, &probe()).unwrap();
    assert!(source.rows(&batch).unwrap().iter().all(|row| row.is_empty() || row.len() == 2));
}

/// Owned targets of a test.
trait IntoStatic {
    fn into_static(self) -> Targets<'static>;
}

impl IntoStatic for Targets<'_> {
    fn into_static(self) -> Targets<'static> {
        match self {
            Targets::TopPK(rows) => Targets::TopPK(rows),
            _ => Targets::Hard,
        }
    }
}

fn write(bench: &Bench, source: &mut RemoteSource) -> Result<Outcome, String> {
    source.remember(&bench.path()).map_err(|error| error.to_string())?;
    let (path, stop) = (bench.path(), StopFlag::default());
    cache::write(&path, &bench.header, source, &bench.set, &bench.sequences, &stop, &mut |_| {})
        .map_err(|error| error.to_string())
}

#[test]
fn failures_are_survived_and_what_is_wrong_is_refused_before_anything_is_kept() {
    let parts = |bench: &Bench| {
        let entries = std::fs::read_dir(bench.path()).unwrap().map(|entry| entry.unwrap().file_name());
        entries
            .filter(|name| name.to_string_lossy().ends_with(".ttc") && name.to_string_lossy().starts_with("part"))
            .count()
    };
    let whole = {
        let bench = bench("remote-whole", top(1.0, TOP_K));
        write(&bench, &mut Fake::new(Manner::Honest, 0).open().unwrap()).unwrap();
        std::fs::read(bench.part()).unwrap()
    };
    let bench_of = |manner: Manner| bench(&format!("remote-{manner:?}"), top(1.0, TOP_K));
    let survivor = bench_of(Manner::Fails);
    let patient = ServerConfig { retries: 20, budget: 1000, ..Fake::new(Manner::Fails, 0).config() };
    write(&survivor, &mut RemoteSource::open(patient, &top(1.0, TOP_K), VOCAB, &probe()).unwrap()).unwrap();
    assert!(std::fs::read(survivor.part()).unwrap() == whole, "what fails now and then leaves the same bytes");
    // From the fourth answer on: the tokenizer was compared, and what is wanted is given.
    for (manner, message) in [
        (Manner::Hangs, "no whole answer in 3 tries"),
        (Manner::Truncates, "no whole answer in 3 tries"),
        (Manner::LosesTokens, "tokens where"),
        (Manner::OtherTokens, "another one at place 1"),
        (Manner::OtherName, "its model is 'small', before it was 'large'"),
        (Manner::OtherWeights, "not the teacher that it was"),
        (Manner::OtherFingerprint, "its fingerprint is 'b', before it was 'a'"),
        (Manner::NamesWithoutIds, "return_tokens_as_token_ids"),
        (Manner::Hot, "not those of temperature 1"),
        (Manner::NoLogprobs, "'logprobs' is null"),
        (Manner::Refuses, "refused (400): logprobs must be at most 1"),
    ] {
        let bench = bench_of(manner);
        let mut source = Fake::new(manner, 4).open().unwrap();
        let error = write(&bench, &mut source).unwrap_err();
        assert!(error.contains(message), "{manner:?}: {error}");
        assert_eq!(parts(&bench), 0, "{manner:?}: nothing is kept");
    }
}

#[test]
fn what_a_server_cannot_give_is_said_before_the_first_row() {
    for (manner, message) in [
        (Manner::FewerLogprobs, "asked for top_k = 4 log-probabilities of each token it gives 2; lower top_k"),
        (Manner::OtherTokens, "its tokenizer is another"),
        (Manner::NamesWithoutIds, "return_tokens_as_token_ids"),
        (Manner::Refuses, "refused (400)"),
        (Manner::Hot, "not those of temperature 1"),
    ] {
        let error = Fake::new(manner, 0).open().unwrap_err();
        assert!(error.is_request() && error.to_string().contains(message), "{manner:?}: {error}");
    }
    let samples = Kept::Samples { n: 3, seed: 1 };
    let fake = Fake::new(Manner::Honest, 0);
    let error = RemoteSource::open(fake.config(), &samples, VOCAB, &probe()).unwrap_err().to_string();
    assert!(error.contains("draw no samples"), "{error}");
    let nobody = ServerConfig { url: "http://127.0.0.1:9/v1".to_owned(), retries: 1, ..fake.config() };
    let error = RemoteSource::open(nobody, &top(1.0, TOP_K), VOCAB, &probe()).unwrap_err();
    assert!(!error.is_request() && error.to_string().contains("in 2 tries"), "{error}");
}

#[test]
fn a_budget_of_failures_ends_it() {
    let fake = Fake::new(Manner::Fails, 0);
    let config = ServerConfig { budget: 2, retries: 9, ..fake.config() };
    let bench = bench("remote-budget", top(1.0, TOP_K));
    let mut source = RemoteSource::open(config, &top(1.0, TOP_K), VOCAB, &probe()).unwrap();
    let error = source.rows(&bench.batch(&(0..20).collect::<Vec<_>>())).unwrap_err().to_string();
    assert!(error.contains("3 requests to the server") && error.contains("out of luck"), "{error}");
    assert!(fake.asked.load(Ordering::SeqCst) < 20);
}

#[test]
fn another_server_does_not_go_on_with_a_cache() {
    let bench = bench("remote-other", top(1.0, TOP_K));
    Fake::new(Manner::Honest, 0).open().unwrap().remember(&bench.path()).unwrap();
    Fake::new(Manner::Honest, 0).open().unwrap().remember(&bench.path()).unwrap();
    let error = Fake::new(Manner::OtherWeights, 0).open().unwrap().remember(&bench.path()).unwrap_err();
    assert!(error.is_request() && error.to_string().contains("not the teacher that it was"), "{error}");
}
