//! `tutelage generate` as a user meets it.

use serde_json::Value;

use crate::support::Bench;

fn trained(name: &str) -> Bench {
    let bench = Bench::new(name);
    bench.succeed(&["run", "tiny.toml", "--out", "run"]);
    std::fs::rename(bench.path("run/models/teacher/model"), bench.path("model")).unwrap();
    bench
}

fn lines(bench: &Bench, path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(bench.path(path)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const PROMPTS: &str = concat!(
    "{\"prompt\": \"the king\", \"id\": 7}\n",
    "\n",
    "{\"prompt\": \"and all the people said unto\"}\n",
    "{\"prompt\": \"\"}\n",
    "{\"prompt\": \"go up\", \"note\": {\"a\": [1]}}\n",
);

#[test]
fn a_file_of_prompts_is_continued_and_goes_on() {
    let bench = trained("file");
    std::fs::write(bench.path("prompts.jsonl"), PROMPTS).unwrap();
    let how = ["--max-tokens", "9", "--samples", "2", "--logprobs", "1", "--seed", "4"];
    let ask = |out: &str, more: &[&str]| {
        let args = ["generate", "model", "--file", "prompts.jsonl", "--out", out, "--json"];
        serde_json::from_str::<Value>(&bench.succeed(&[&args[..], &how, more].concat())).unwrap()
    };
    let stats = ask("out.jsonl", &[]);
    assert_eq!(
        (stats["prompts"].as_u64(), stats["kept"].as_u64(), stats["done"].as_u64()),
        (Some(4), Some(0), Some(4))
    );
    let all = lines(&bench, "out.jsonl");
    assert_eq!((all[0]["id"].as_u64(), all[3]["note"]["a"][0].as_u64()), (Some(7), Some(1)));
    for line in &all {
        let samples = line["completions"].as_array().unwrap();
        assert_eq!(samples.len(), 2);
        for sample in samples {
            let n = sample["n_tokens"].as_u64().unwrap() as usize;
            assert_eq!(sample["logprobs"].as_array().map_or(0, Vec::len), n, "{sample}");
        }
    }
    // One prompt by itself, one at a time, another number of threads: the same texts.
    let one = bench.succeed(&[&["generate", "model", "--prompt", "the king", "--json"][..], &how].concat());
    assert_eq!(serde_json::from_str::<Value>(&one).unwrap()["samples"], all[0]["completions"]);
    ask("other.jsonl", &["--batch-size", "1", "--threads", "1"]);
    let whole = std::fs::read(bench.path("out.jsonl")).unwrap();
    assert!(std::fs::read(bench.path("other.jsonl")).unwrap() == whole);
    // Cut in the middle of a line, it goes on from the last whole one; done, nothing is left to do.
    let second = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0;
    std::fs::write(bench.path("out.jsonl"), &whole[..second + 20]).unwrap();
    let stats = ask("out.jsonl", &[]);
    assert_eq!((stats["kept"].as_u64(), stats["done"].as_u64()), (Some(2), Some(4)));
    assert!(std::fs::read(bench.path("out.jsonl")).unwrap() == whole);
    assert_eq!(ask("out.jsonl", &[])["kept"].as_u64(), Some(4));
    // Another way, or other prompts: not mixed.
    let args = ["generate", "model", "--file", "prompts.jsonl", "--out", "out.jsonl"];
    let message = bench.refuse(&[&args[..], &how, &["--temperature", "0"]].concat());
    assert!(message.contains("was made of other prompts, by another model or in another way"), "{message}");
    std::fs::write(bench.path("prompts.jsonl"), "{\"prompt\": \"x\"}").unwrap();
    assert!(bench.refuse(&[&args[..], &how].concat()).contains("is there already"));
    assert!(std::fs::read(bench.path("out.jsonl")).unwrap() == whole);
}

#[test]
fn texts_end_and_repeat_as_asked() {
    let bench = trained("texts");
    let says = |more: &[&str]| {
        let args = ["generate", "model", "--prompt", "the king", "--max-tokens", "30", "--json"];
        serde_json::from_str::<Value>(&bench.succeed(&[&args[..], more].concat())).unwrap()
    };
    let whole = says(&[]);
    assert_eq!(whole, says(&["--threads", "1"]));
    assert_ne!(whole["text"], says(&["--seed", "1"])["text"]);
    let text = whole["text"].as_str().unwrap();
    let stop: String = text.chars().skip(5).take(3).collect();
    let stopped = says(&["--stop", &stop]);
    assert_eq!(stopped["text"].as_str().unwrap(), &text[..text.find(&stop).unwrap()]);
    assert_eq!(stopped["stop_reason"], "stop");
    assert_eq!(says(&["--stop-id", "1"])["text"], whole["text"], "a token that is not drawn ends nothing");
    let forbidden = says(&["--logit-bias", "2=-inf", "--temperature", "0"]);
    assert_eq!(
        (forbidden["n_tokens"].as_u64(), forbidden["stop_reason"].as_str()),
        (Some(32 - 4), Some("context_full"))
    );
    let shown = bench.succeed(&["generate", "model", "--prompt", "go up", "--samples", "2", "--max-tokens", "2"]);
    assert!(shown.starts_with("--- 1 of 2\ngo up") && shown.contains("\n--- 2 of 2\ngo up"), "{shown}");
}

#[test]
fn forms_choices_drafts_and_types() {
    let bench = trained("forms");
    let says = |more: &[&str]| {
        let args = ["generate", "model", "--prompt", "the king", "--max-tokens", "20", "--json"];
        serde_json::from_str::<Value>(&bench.succeed(&[&args[..], more].concat())).unwrap()
    };
    let plain = says(&[]);
    // A form.
    std::fs::write(bench.path("schema.json"), r#"{"enum": ["yes", "no"]}"#).unwrap();
    assert!(["\"yes\"", "\"no\""].contains(&says(&["--json-schema", "schema.json"])["text"].as_str().unwrap()));
    let digits = says(&["--regex", "[0-9]{3}"]);
    assert!(digits["text"].as_str().unwrap().parse::<u32>().is_ok() && digits["stop_reason"] == "end_of_document");
    // The best of some.
    let four = says(&["--samples", "4", "--logprobs", "0"]);
    let mean = |sample: &Value| {
        let tokens = sample["logprobs"].as_array().unwrap();
        tokens.iter().map(|token| token["logprob"].as_f64().unwrap()).sum::<f64>() / tokens.len() as f64
    };
    let best = four["samples"].as_array().unwrap().iter().max_by(|a, b| mean(a).total_cmp(&mean(b))).unwrap();
    let chosen = says(&["--best-of", "4"]);
    assert_eq!((&chosen["text"], chosen.get("logprobs")), (&best["text"], None));
    // A draft changes nothing; the model is its own best one.
    for draft in ["model", "run/models/text/model"] {
        let mut drafted = says(&["--draft", draft, "--draft-tokens", "3"]);
        let stats = drafted.as_object_mut().unwrap().remove("speculation").unwrap();
        assert!(stats["proposed"].as_u64().unwrap() > 0, "{stats}");
        assert_eq!(drafted, plain);
    }
    // Beams: the likeliest texts, best first.
    let beams = bench.succeed(&[
        "generate",
        "model",
        "--prompt",
        "go up",
        "--max-tokens",
        "6",
        "--beams",
        "4",
        "--samples",
        "3",
        "--json",
    ]);
    let beams: Value = serde_json::from_str(&beams).unwrap();
    let scores: Vec<f64> =
        beams["samples"].as_array().unwrap().iter().map(|sample| sample["score"].as_f64().unwrap()).collect();
    assert!(scores.len() == 3 && scores.is_sorted_by(|a, b| a >= b), "{beams}");
    for dtype in ["f32", "int8", "int4"] {
        assert_eq!(says(&["--dtype", dtype])["n_tokens"].as_u64().map(|n| n > 0), Some(true));
    }
    for (args, message) in [
        (&["--json-schema", "none.json"][..], "none.json"),
        (&["--regex", "("], "regular expression"),
        (&["--json-schema", "schema.json", "--regex", "a"], "cannot be used with"),
        (&["--samples", "3", "--best-of", "2"], "best-of 2: must be at least"),
        (&["--beams", "2", "--temperature", "1"], "cannot be used with"),
        (&["--beams", "2", "--samples", "3"], "follow at least as many"),
        (&["--length-penalty", "2"], "--beams"),
        (&["--draft", "nowhere"], "nowhere"),
        (&["--draft-tokens", "2"], "--draft"),
        (&["--dtype", "int3"], "--dtype"),
    ] {
        let found = bench.refuse(&[&["generate", "model", "--prompt", "a"][..], args].concat());
        assert!(found.contains(message), "{args:?}: {found}");
    }
}

#[test]
fn wrong_requests_are_refused() {
    let bench = trained("generate-wrong");
    std::fs::write(bench.path("bad.jsonl"), "{\"prompt\": \"a\"}\n{\"text\": \"a\"}\n").unwrap();
    std::fs::write(bench.path("torn.jsonl"), "{\"prompt\": \n").unwrap();
    std::fs::write(bench.path("empty.jsonl"), "\n").unwrap();
    std::fs::write(bench.path("good.jsonl"), PROMPTS).unwrap();
    let long = format!("{{\"prompt\": \"{}\"}}\n", "king ".repeat(60));
    std::fs::write(bench.path("gap.jsonl"), format!("{{\"prompt\": \"a\"}}\n\n{long}")).unwrap();
    std::fs::write(bench.path("long.jsonl"), format!("{{\"prompt\": \"a\"}}\n{long}")).unwrap();
    for (args, message) in [
        (&["--prompt", "a", "--top-p", "2"][..], "top_p = 2: must be above 0, at most 1"),
        (&["--prompt", "a", "--min-p", "-1"], "min_p = -1"),
        (&["--prompt", "a", "--typical-p", "0"], "typical_p = 0"),
        (&["--prompt", "a", "--repetition-penalty", "0"], "repetition_penalty = 0"),
        (&["--prompt", "a", "--logit-bias", "5"], "as in 42=-5"),
        (&["--prompt", "a", "--samples", "0"], "--samples"),
        (&["--prompt", "a", "--logprobs", "3"], "give --json or --file"),
        (&["--prompt", "a", "--chat"], "no chat template"),
        (&["--chat"], "is for a terminal"),
        (&[], "--prompt"),
        (&["--file", "bad.jsonl"], "--out"),
        (&["--file", "bad.jsonl", "--out", "o", "--prompt", "a"], "cannot be used with"),
        (&["--file", "bad.jsonl", "--out", "o"], "bad.jsonl: line 2: expected 'prompt', a text, or 'messages'"),
        (&["--file", "torn.jsonl", "--out", "o"], "line 1: no JSON object"),
        (&["--file", "empty.jsonl", "--out", "o"], "holds no prompts"),
        (&["--file", "none.jsonl", "--out", "o"], "none.jsonl"),
        (&["--file", "long.jsonl", "--out", "o"], "line 2: the prompt has"),
        (&["--file", "gap.jsonl", "--out", "o"], "line 3: the prompt has"),
        (&["--file", "good.jsonl", "--out", "nowhere/o"], "nowhere"),
    ] {
        let found = bench.refuse(&[&["generate", "model"][..], args].concat());
        assert!(found.contains(message), "{args:?}: {found}");
    }
    assert!(!bench.path("o").exists() && !bench.path("o.state.json").exists(), "a refused file leaves nothing");
}
