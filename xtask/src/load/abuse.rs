//! What clients do that should not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::post;

/// One way to misbehave.
pub(super) struct Trick {
    pub(super) name: &'static str,
    play: fn(&mut TcpStream, &AtomicBool) -> std::io::Result<()>,
}

/// How clients misbehave.
pub(super) struct How {
    pub(super) address: String,
    /// Numbers of tricks that are played.
    pub(super) chosen: Vec<usize>,
    /// Between two tricks of a connection.
    pub(super) pause: Duration,
}

/// All of them; connections take them in turn.
pub(super) const TRICKS: [Trick; 10] = [
    Trick { name: "slow readers", play: slow_reader },
    Trick { name: "half-sent bodies", play: half_body },
    Trick { name: "half-sent heads", play: half_head },
    Trick { name: "gone in mid-stream", play: vanish },
    Trick {
        name: "malformed JSON",
        play: |stream, _| answered(stream, &post("/v1/completions", "{\"prompt\": \"a\",,}")),
    },
    Trick { name: "10 MB prompts", play: large },
    Trick {
        name: "deep JSON",
        play: |stream, _| answered(stream, &post("/v1/chat/completions", &"[".repeat(200_000))),
    },
    Trick { name: "header floods", play: header_flood },
    Trick { name: "path tricks", play: path_tricks },
    Trick { name: "prompts that cannot be", play: wrong_prompts },
];

/// Misbehaves in the chosen ways until told to stop, and counts how often.
pub(super) fn run(n: usize, how: &How, stop: &AtomicBool, counts: &[AtomicUsize]) {
    // Not all at one moment.
    rest(stop, Duration::from_millis(5 * n as u64));
    let mut turn = n;
    while !stop.load(Ordering::Relaxed) {
        let at = how.chosen[turn % how.chosen.len()];
        turn += 1;
        if let Ok(mut stream) = TcpStream::connect(&how.address) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let _ = stream.set_write_timeout(Some(Duration::from_secs(5)));
            // Being cut off is what such a client must expect.
            let _ = (TRICKS[at].play)(&mut stream, stop);
            counts[at].fetch_add(1, Ordering::Relaxed);
        }
        rest(stop, how.pause);
    }
}

fn rest(stop: &AtomicBool, time: Duration) {
    let glance = Duration::from_millis(100);
    let mut left = time;
    while !left.is_zero() && !stop.load(Ordering::Relaxed) {
        let part = left.min(glance);
        std::thread::sleep(part);
        left -= part;
    }
}

/// Sends and reads what comes, up to a few kilobytes.
fn answered(stream: &mut TcpStream, request: &str) -> std::io::Result<()> {
    stream.write_all(request.as_bytes())?;
    stream.read(&mut [0; 4096]).map(|_| ())
}

/// Asks for several megabytes and reads a byte at a time.
fn slow_reader(stream: &mut TcpStream, stop: &AtomicBool) -> std::io::Result<()> {
    let request = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.repeat(100).as_bytes())?;
    for _ in 0..20 {
        stream.read_exact(&mut [0; 1])?;
        rest(stop, Duration::from_millis(500));
    }
    Ok(())
}

fn half_body(stream: &mut TcpStream, stop: &AtomicBool) -> std::io::Result<()> {
    let whole = post("/v1/completions", &format!("{{\"prompt\": \"{}\"}}", "a".repeat(300_000)));
    stream.write_all(&whole.as_bytes()[..200_000])?;
    rest(stop, Duration::from_secs(10));
    Ok(())
}

fn half_head(stream: &mut TcpStream, stop: &AtomicBool) -> std::io::Result<()> {
    for part in ["POST /v1/comp", "letions HTTP/1.1\r\nHo", "st: localhost\r\nX-Wait: "] {
        stream.write_all(part.as_bytes())?;
        rest(stop, Duration::from_secs(3));
    }
    Ok(())
}

/// Begins a long stream and is gone at its first bytes.
fn vanish(stream: &mut TcpStream, _: &AtomicBool) -> std::io::Result<()> {
    let body = "{\"prompt\": \"a\", \"max_tokens\": 4000, \"ignore_eos\": true, \"stream\": true}";
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    answered(stream, &post("/v1/completions", body))
}

fn large(stream: &mut TcpStream, _: &AtomicBool) -> std::io::Result<()> {
    let head = post("/v1/completions", "").replace("Content-Length: 0", "Content-Length: 10000000");
    stream.write_all(head.as_bytes())?;
    let part = [b'a'; 10_000];
    for _ in 0..1000 {
        stream.write_all(&part)?;
    }
    stream.read(&mut [0; 4096]).map(|_| ())
}

fn header_flood(stream: &mut TcpStream, _: &AtomicBool) -> std::io::Result<()> {
    let headers: String = (0..1000).map(|i| format!("X-Header-{i}: {}\r\n", "y".repeat(60))).collect();
    answered(stream, &format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"))
}

fn path_tricks(stream: &mut TcpStream, _: &AtomicBool) -> std::io::Result<()> {
    let paths =
        ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v1/models/%00", "//etc/passwd", "/v1/models/%ff%fe", "*"];
    for path in paths {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
        if stream.read(&mut [0; 4096])? == 0 {
            break;
        }
    }
    Ok(())
}

fn wrong_prompts(stream: &mut TcpStream, _: &AtomicBool) -> std::io::Result<()> {
    answered(stream, &post("/v1/completions", &format!("{{\"prompt\": [{}5]}}", "5,".repeat(20_000))))
}
