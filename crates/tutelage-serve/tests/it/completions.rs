//! What the server writes is what an engine writes.

use serde_json::{Value, json};
use tutelage_generate::{Engine, EngineLimits, Event, Request, Sampling};
use tutelage_run::StopFlag;

use crate::support::{Server, generator};

const PROMPT: &str = "the cat sat on";

/// An engine's text and log-probabilities of prompt and text.
fn by_engine(sampling: Sampling, n_samples: usize) -> (Vec<String>, Vec<f64>, Vec<Vec<f64>>) {
    let generator = generator();
    let request = Request {
        sampling,
        n_samples,
        logprobs: Some(0),
        prompt_logprobs: Some(0),
        ignores_end: true,
        ..Request::new(generator.prompt(PROMPT).unwrap(), 12)
    };
    let mut engine = Engine::new(generator, EngineLimits { cache_tokens: 4096, ..EngineLimits::default() });
    engine.submit(request).unwrap();
    let (mut texts, mut of_prompt, mut of_texts) =
        (vec![String::new(); n_samples], Vec::new(), vec![Vec::new(); n_samples]);
    let mut take = |event| {
        match event {
            Event::Prompt { logprobs, .. } => of_prompt = logprobs.iter().map(|found| found.logprob).collect(),
            Event::Token { sample, logprobs, text, .. } => {
                texts[sample].push_str(&text);
                of_texts[sample].push(logprobs.unwrap().logprob);
            }
            Event::Done { sample, text, .. } => texts[sample].push_str(&text),
            Event::Embedding { .. } => {}
        }
        Ok(())
    };
    engine.run(&StopFlag::default(), &mut take).unwrap();
    (texts, of_prompt, of_texts)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().filter_map(Value::as_f64).collect()
}

#[test]
fn texts_and_log_probabilities_are_the_engines() {
    let server = Server::usual();
    let (texts, of_prompt, of_texts) = by_engine(Sampling::greedy(), 1);
    let asked = json!({
        "model": "tiny", "prompt": PROMPT, "max_tokens": 12, "temperature": 0, "echo": true, "logprobs": 3,
        "ignore_eos": true,
    });
    let answer = server.post("/v1/completions", &asked).json();
    let choice = &answer["choices"][0];
    assert_eq!(choice["text"], format!("{PROMPT}{}", texts[0]));
    assert_eq!(choice["finish_reason"], "length");
    let logprobs = &choice["logprobs"];
    assert_eq!(logprobs["token_logprobs"][0], Value::Null, "nothing is known of the first");
    assert_eq!(numbers(&logprobs["token_logprobs"]), [&of_prompt[..], &of_texts[0]].concat());
    let n_prompt = of_prompt.len() + 1;
    assert_eq!(
        answer["usage"],
        json!({ "prompt_tokens": n_prompt, "completion_tokens": 12, "total_tokens": n_prompt + 12 })
    );
    // Greedy: each token drawn is the most likely one.
    for (top, own) in logprobs["top_logprobs"].as_array().unwrap()[n_prompt..].iter().zip(&of_texts[0]) {
        let most = top.as_object().unwrap().values().filter_map(Value::as_f64).fold(f64::NEG_INFINITY, f64::max);
        assert_eq!(most, *own);
    }
    // Where tokens begin, in characters of a text without odd bytes.
    let (text, offsets) = (choice["text"].as_str().unwrap(), logprobs["text_offset"].as_array().unwrap());
    for (token, at) in logprobs["tokens"].as_array().unwrap()[1..n_prompt].iter().zip(&offsets[1..]) {
        assert!(text[at.as_u64().unwrap() as usize..].starts_with(token.as_str().unwrap()));
    }
    // Only the prompt.
    let mut asked = asked;
    asked["max_tokens"] = json!(0);
    let answer = server.post("/v1/completions", &asked).json();
    assert_eq!(answer["choices"][0]["text"], PROMPT);
    assert_eq!(numbers(&answer["choices"][0]["logprobs"]["token_logprobs"]), of_prompt);
    assert_eq!(answer["usage"]["completion_tokens"], 0);
    server.end();
}

#[test]
fn samples_lists_and_seeds() {
    let server = Server::usual();
    let (texts, _, of_texts) = by_engine(Sampling { temperature: 1.0, top_p: 1.0, seed: 5, ..Sampling::default() }, 4);
    let asked = json!({ "prompt": PROMPT, "max_tokens": 12, "seed": 5, "n": 4, "ignore_eos": true });
    let found = server.post("/v1/completions", &asked).json();
    let found: Vec<&str> = found["choices"].as_array().unwrap().iter().map(|c| c["text"].as_str().unwrap()).collect();
    assert_eq!(found, texts);
    // The best of four by the mean of its tokens.
    let best = json!({ "prompt": PROMPT, "max_tokens": 12, "seed": 5, "best_of": 4, "ignore_eos": true });
    let mean = |at: usize| of_texts[at].iter().sum::<f64>();
    let expected = (0..4).max_by(|&a, &b| mean(a).total_cmp(&mean(b))).unwrap();
    let answer = server.post("/v1/completions", &best).json();
    assert_eq!(answer["choices"][0]["text"], texts[expected]);
    assert_eq!((answer["choices"].as_array().unwrap().len(), &answer["usage"]["completion_tokens"]), (1, &json!(48)));
    // Texts and ids, several at once, each with its samples.
    let ids: Vec<u64> = numbers(&server.post("/tokenize", &json!({ "text": PROMPT })).json()["tokens"])
        .into_iter()
        .map(|id| id as u64)
        .collect();
    let many = json!({ "prompt": [PROMPT, ids, "a dog"], "max_tokens": 12, "seed": 5, "n": 2, "ignore_eos": true });
    let answer = server.post("/v1/completions", &many).json();
    let choices = answer["choices"].as_array().unwrap();
    assert_eq!(choices.iter().map(|c| c["index"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert_eq!([&choices[0]["text"], &choices[1]["text"]], [&texts[0][..], &texts[1]]);
    assert_eq!([&choices[2]["text"], &choices[3]["text"]], [&texts[0][..], &texts[1]]);
    // Without a seed texts differ.
    let any = json!({ "prompt": PROMPT, "max_tokens": 20 });
    let one = || server.post("/v1/completions", &any).json()["choices"][0]["text"].to_string();
    assert!((0..5).any(|_| one() != one()));
}

#[test]
fn streams_say_the_same_in_parts() {
    let server = Server::usual();
    let mut asked = json!({
        "prompt": [PROMPT, "rain"], "max_tokens": 12, "seed": 3, "n": 2, "echo": true, "logprobs": 1, "ignore_eos": true,
    });
    let whole = server.post("/v1/completions", &asked).json();
    asked["stream"] = json!(true);
    asked["stream_options"] = json!({ "include_usage": true });
    let parts = server.post("/v1/completions", &asked).parts();
    let (last, parts) = parts.split_last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]), (&json!([]), &whole["usage"]));
    for choice in whole["choices"].as_array().unwrap() {
        let own: Vec<&Value> =
            parts.iter().map(|part| &part["choices"][0]).filter(|part| part["index"] == choice["index"]).collect();
        let text: String = own.iter().map(|part| part["text"].as_str().unwrap()).collect();
        assert_eq!(text, choice["text"].as_str().unwrap());
        assert_eq!(own.last().unwrap()["finish_reason"], choice["finish_reason"]);
        for field in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
            let all = own.iter().filter_map(|part| part["logprobs"][field].as_array()).flatten();
            assert_eq!(all.cloned().collect::<Value>(), choice["logprobs"][field], "{field}");
        }
    }
    // Without log-probabilities the prompt comes at once.
    let short = json!({ "prompt": PROMPT, "max_tokens": 2, "echo": true, "stream": true });
    assert_eq!(server.post("/v1/completions", &short).parts()[0]["choices"][0]["text"], PROMPT);
}

#[test]
fn embeddings_and_tokens() {
    let server = Server::usual();
    let asked = json!({ "input": [PROMPT, "rain"], "model": "tiny" });
    let floats = server.post("/v1/embeddings", &asked).json();
    assert_eq!(floats["data"][1]["embedding"].as_array().unwrap().len(), 32);
    let mut asked = asked;
    asked["encoding_format"] = json!("base64");
    let coded = server.post("/v1/embeddings", &asked).json();
    // 32 numbers of 4 bytes.
    assert_eq!(coded["data"][1]["embedding"].as_str().unwrap().len(), (32 * 4usize).div_ceil(3) * 4);
    let tokens = server.post("/tokenize", &json!({ "text": "the cat \u{1f408}", "add_special": false })).json();
    let text = server.post("/detokenize", &json!({ "tokens": tokens["tokens"] })).json();
    assert_eq!(text, json!({ "text": "the cat \u{1f408}" }));
    let n = tokens["count"].as_u64().unwrap();
    assert_eq!(server.post("/tokenize", &json!({ "text": "the cat \u{1f408}" })).json()["count"], n + 1);
    assert_eq!(server.get("/v1/models").json()["data"][0]["id"], "tiny");
    assert_eq!(server.get("/v1/models/tiny").json()["max_model_len"], 4096);
    assert_eq!(server.get("/health").json(), json!({ "status": "ok" }));
}
