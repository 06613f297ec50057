//! A server that answers at once what it is asked, with no model behind it: what is left is the client's part of a remote teacher.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::{Map, Value, json};
use tutelage_run::FileError;

/// Name of its model.
pub(crate) const MODEL: &str = "stand-in";

/// Begins one that lives as long as the process; returns its address.
pub(crate) fn start(vocab_size: usize) -> Result<String, FileError> {
    let fault = |error| FileError::io("listen on", std::path::Path::new("127.0.0.1"))(error);
    let listener = TcpListener::bind("127.0.0.1:0").map_err(fault)?;
    let address = listener.local_addr().map_err(fault)?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                // A client that goes away ends its connection, and nothing else.
                let _ = answer_all(stream, vocab_size);
            });
        }
    });
    Ok(format!("http://{address}/v1"))
}

fn answer_all(mut stream: TcpStream, vocab_size: usize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().unwrap_or(0);
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let text = answer(&serde_json::from_slice(&body).unwrap_or_default(), vocab_size).to_string();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        )?;
    }
}

fn answer(asked: &Value, vocab_size: usize) -> Value {
    let top_k = asked["logprobs"].as_u64().unwrap_or(1);
    let name = |id: u64| format!("token_id:{id}");
    let choice = |(index, prompt): (usize, &Value)| {
        let ids: Vec<u64> = match prompt {
            Value::String(text) => text.bytes().map(u64::from).collect(),
            ids => ids.as_array().into_iter().flatten().filter_map(Value::as_u64).collect(),
        };
        let top = |at: usize| match at {
            0 => Value::Null,
            _ => {
                let entry =
                    |i: u64| (name((ids[at] + 7 * i) % vocab_size as u64), json!(-2.5 - i as f64 * 0.223_456_789));
                Value::Object((0..top_k).map(entry).collect::<Map<_, _>>())
            }
        };
        let tokens: Vec<String> = ids.iter().map(|&id| name(id)).collect();
        json!({ "index": index, "logprobs": { "tokens": tokens, "top_logprobs": (0..ids.len()).map(top).collect::<Vec<_>>() } })
    };
    let choices: Vec<Value> = asked["prompt"].as_array().into_iter().flatten().enumerate().map(choice).collect();
    json!({ "model": MODEL, "choices": choices })
}
