//! `cargo xtask load`: what well-behaved clients get from the server while a thousand others misbehave.

mod abuse;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::clients::{MODEL, Server};
use abuse::{How, TRICKS};

/// Connections that misbehave.
const ABUSERS: usize = 1000;
/// Clients that do not.
const CLIENTS: usize = 8;
/// Tokens of each of their texts.
const TOKENS: usize = 64;
const ROUNDS: usize = 3;
const SECONDS: u64 = 15;

/// Measures, in turn, without and with those who misbehave, in all ways or in those of these names.
pub(crate) fn load(root: &Path, names: &[String], pause: Duration) -> Result<()> {
    let is_chosen = |trick: &abuse::Trick| names.is_empty() || names.iter().any(|name| trick.name.contains(&name[..]));
    let chosen: Vec<usize> = (0..TRICKS.len()).filter(|&at| is_chosen(&TRICKS[at])).collect();
    if chosen.is_empty() {
        bail!("there is no such trick; there are {}", TRICKS.map(|trick| trick.name).join(", "));
    }
    if !root.join(MODEL).exists() {
        bail!("{MODEL} is not there; scripts/smollm2.sh gets it");
    }
    super::cargo(root, &["build", "--release", "--quiet"], &[])?;
    let server = Server::start(root, "")?;
    let address: Arc<str> = server.url.trim_start_matches("http://").into();
    let how = Arc::new(How { address: address.to_string(), chosen, pause });
    let mut ratios = Vec::new();
    // Its pages and its threads' memory are there after the first texts.
    measure(&address, Duration::from_secs(5))?;
    for round in 1..=ROUNDS {
        let alone = measure(&address, Duration::from_secs(SECONDS))?;
        let before = memory(&server, "VmRSS")?;
        let (begun, stop) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        let counts: Arc<Vec<AtomicUsize>> = Arc::new(TRICKS.iter().map(|_| AtomicUsize::new(0)).collect());
        let abusers: Vec<_> = (0..ABUSERS)
            .map(|n| {
                let (stop, counts, how) = (Arc::clone(&stop), Arc::clone(&counts), Arc::clone(&how));
                let run = move || abuse::run(n, &how, &stop, &counts);
                std::thread::Builder::new().stack_size(128 << 10).spawn(run)
            })
            .collect::<std::io::Result<_>>()?;
        // All connections are there by then.
        std::thread::sleep(Duration::from_secs(6));
        let beside = measure(&address, Duration::from_secs(SECONDS))?;
        let during = memory(&server, "VmRSS")?;
        stop.store(true, Ordering::Relaxed);
        abusers.into_iter().for_each(|abuser| drop(abuser.join()));
        ratios.push(beside / alone);
        println!(
            "round {round}: {alone:.0} tokens/s alone, {beside:.0} beside {ABUSERS} others ({:.0} %); memory {before:.0} MB, \
             then {during:.0} MB",
            100.0 * beside / alone
        );
        let counted =
            how.chosen.iter().map(|&at| format!("{} {}", counts[at].load(Ordering::Relaxed), TRICKS[at].name));
        let n: usize = how.chosen.iter().map(|&at| counts[at].load(Ordering::Relaxed)).sum();
        println!("  {:.0} tricks a second", n as f64 / begun.elapsed().as_secs_f64());
        println!("  {}", counted.collect::<Vec<_>>().join(", "));
    }
    ratios.sort_by(f64::total_cmp);
    let health = get(&address, "/health")?;
    println!(
        "median {:.0} % of the throughput alone; most memory {:.0} MB; the server is {}",
        100.0 * ratios[ROUNDS / 2],
        memory(&server, "VmHWM")?,
        if health.contains("\"ok\"") { "well" } else { "not well" }
    );
    std::thread::sleep(Duration::from_secs(2));
    let metrics = get(&address, "/metrics")?;
    let idle = metrics.lines().any(|line| line == "tutelage_running 0");
    if !idle || !health.contains("\"ok\"") {
        bail!("the server did not come to rest:\n{metrics}");
    }
    Ok(())
}

/// A number of megabytes out of the kernel's account of the server.
fn memory(server: &Server, field: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
    let kilobytes: f64 = line.trim_matches([':', '\t', ' ', 'k', 'B']).trim().parse()?;
    Ok(kilobytes / 1024.0)
}

/// Tokens a second of well-behaved clients together.
fn measure(address: &Arc<str>, time: Duration) -> Result<f64> {
    let begun = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let address = Arc::clone(address);
            std::thread::spawn(move || -> Result<usize> {
                let mut n_tokens = 0;
                while begun.elapsed() < time {
                    n_tokens += one_text(&address, n)?;
                }
                Ok(n_tokens)
            })
        })
        .collect();
    let mut sum = 0;
    for client in clients {
        sum += client.join().map_err(|_| anyhow::anyhow!("a client failed"))??;
    }
    Ok(sum as f64 / begun.elapsed().as_secs_f64())
}

fn one_text(address: &str, n: usize) -> Result<usize> {
    let body = format!(
        "{{\"prompt\": \"Text number {n} begins so:\", \"max_tokens\": {TOKENS}, \"ignore_eos\": true, \"stream\": true}}"
    );
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    stream.write_all(post("/v1/completions", &body).as_bytes())?;
    let mut lines = BufReader::new(stream);
    let mut status = String::new();
    lines.read_line(&mut status)?;
    if !status.contains("200") {
        bail!("a well-behaved client was answered {status}");
    }
    let mut is_whole = false;
    for line in lines.lines() {
        is_whole |= line? == "data: [DONE]";
    }
    if !is_whole {
        bail!("a well-behaved client's stream was cut");
    }
    Ok(TOKENS)
}

fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// A request with a body.
fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
