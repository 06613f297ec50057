//! A server on a free port, and a client that can misbehave.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tutelage_generate::Generator;
use tutelage_model::{Decoder, DecoderConfig, Family, Options, RopeScaling};
use tutelage_run::StopFlag;
use tutelage_serve::{AccessEntry, EngineLimits, ServeConfig, ServeError, ServeLimits, ServedModel, serve};
use tutelage_tensor::{Device, Isa, Precision};
use tutelage_token::Tokenizer;

pub(crate) const VOCAB: usize = 300;

const TEMPLATE: &str = "{{ bos_token }}{% for message in messages %}[{{ message.role }}]{{ message.content }}\
    {% endfor %}{% if tools %}{{ tools | tojson }}{% endif %}[assistant]";

pub(crate) fn generator() -> Arc<Generator> {
    let config = DecoderConfig {
        family: Family::Llama,
        vocab_size: VOCAB,
        d_model: 32,
        n_layers: 2,
        n_heads: 4,
        n_kv_heads: 2,
        d_head: 8,
        d_ff: 48,
        tied_embeddings: false,
        options: Options::default(),
        max_positions: 4096,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        norm_eps: 1e-5,
        init_std: 0.5,
        bos: Some(1),
        eos: 2,
        more_eos: Vec::new(),
    };
    let words = "the cat sat on the mat and the dog ran to the barn while rain fell on hills of green and grey stones";
    let texts: Vec<String> = (0..20).map(|i| format!("{i} {words} {words} {}", i * i)).collect();
    let tokenizer = Tokenizer::train_bpe(texts.iter().map(String::as_str), VOCAB).unwrap();
    let device = Device::cpu(1, Isa::detect()).unwrap();
    let model = Decoder::random(config, &device, Precision::F32, 11).unwrap();
    Arc::new(Generator::new(model, tokenizer, Some(TEMPLATE.to_owned())).unwrap())
}

pub(crate) fn config() -> ServeConfig {
    let limits = EngineLimits { cache_tokens: 8192, ..EngineLimits::default() };
    ServeConfig {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        models: vec![ServedModel { name: "tiny".to_owned(), generator: generator(), draft: None, limits }],
        api_keys: Vec::new(),
        hosts: Vec::new(),
        limits: ServeLimits::default(),
        logs_texts: false,
    }
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: StopFlag,
    pub(crate) log: Arc<Mutex<Vec<AccessEntry>>>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Server {
    pub(crate) fn start(config: ServeConfig) -> Self {
        let (stop, log) = (StopFlag::default(), Arc::new(Mutex::new(Vec::new())));
        let (flag, entries) = (stop.clone(), Arc::clone(&log));
        let (sender, address) = channel();
        let thread = std::thread::spawn(move || {
            let log = Arc::new(move |entry: &AccessEntry| entries.lock().unwrap().push(entry.clone()));
            serve(&config, log, &flag, |address| sender.send(address).unwrap())
        });
        Self { address: address.recv().unwrap(), stop, log, thread: Some(thread) }
    }

    pub(crate) fn usual() -> Self {
        Self::start(config())
    }

    /// Stops it and waits until it has ended.
    pub(crate) fn end(mut self) {
        self.stop.raise();
        self.thread.take().unwrap().join().unwrap().unwrap();
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(&post(path, "", &body.to_string()))
    }

    /// Sends bytes and reads to the end of the connection.
    pub(crate) fn send(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        // A server that refuses a body may close before all of it is sent.
        let _ = stream.write_all(request.as_bytes());
        Answer::read(stream)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// A number of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Waits until something is so.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what} did not come about");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.raise();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A request with a body.
pub(crate) fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n{headers}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn read(stream: TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                break;
            }
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let mut text = Vec::new();
        if head.contains("transfer-encoding: chunked") {
            loop {
                let mut size = String::new();
                reader.read_line(&mut size).unwrap();
                let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
                let mut chunk = vec![0; size + 2];
                if reader.read_exact(&mut chunk).is_err() || size == 0 {
                    break;
                }
                text.extend_from_slice(&chunk[..size]);
            }
        } else {
            let _ = reader.read_to_end(&mut text);
        }
        Self { status, head: head.to_lowercase(), text: String::from_utf8(text).unwrap() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Parts of a stream, which ends as it should.
    pub(crate) fn parts(&self) -> Vec<Value> {
        assert!(self.status == 200 && self.head.contains("text/event-stream"), "{self:?}");
        let lines: Vec<&str> = self.text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let (last, parts) = lines.split_last().unwrap();
        assert_eq!(*last, "[DONE]");
        parts.iter().map(|part| serde_json::from_str(part).unwrap()).collect()
    }
}
