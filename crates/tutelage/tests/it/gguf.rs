//! A real model's GGUF file, as it is and turned into a folder. Runs where `scripts/smollm2.sh` was run.

use tutelage_testkit::smollm2;

use crate::support::Bench;

/// What transformers continues "The sea is" with under greedy decoding, on the same weights in f32.
const REPLY: &str =
    " a place of endless wonder and mystery. It's a place where the unknown becomes a part of the familiar.";

#[test]
fn a_real_model_is_used_as_it_is_and_converted() {
    let Some(path) = smollm2() else { return };
    let (bench, path) = (Bench::new("gguf"), path.to_str().unwrap());
    let ask = ["--prompt", "The sea is", "--temperature", "0", "--max-tokens", "22", "--json"];
    let says = |model: &str| {
        let out = bench.succeed(&[&["generate", model], &ask[..]].concat());
        serde_json::from_str::<serde_json::Value>(&out).unwrap()["text"].as_str().unwrap().to_owned()
    };
    assert_eq!(says(path), REPLY);
    assert!(bench.succeed(&["inspect", path]).contains("tensors: 61 F32, 210 Q4_1, 1 Q8_0"));
    assert!(
        bench
            .succeed(&["convert", path, "--out", "smol"])
            .contains("Llama, 134515008 weights in f32, tokenizer of 49152 entries")
    );
    assert_eq!(says("smol"), REPLY);
    bench.succeed(&["convert", "smol", "--out", "again.gguf", "--dtype", "bf16"]);
    assert_eq!(says("again.gguf"), REPLY);
    bench.succeed(&["convert", "smol", "--out", "mistral", "--family", "mistral", "--dtype", "bf16"]);
    assert_eq!(says("mistral"), REPLY);
    assert!(bench.refuse(&["convert", "smol", "--out", "q", "--dtype", "q8_0"]).contains("one of f32, bf16, f16"));
    assert!(bench.refuse(&["convert", "smol", "--out", "q.gguf", "--family", "llama"]).contains("is for folders"));
    assert!(bench.refuse(&["convert", "smol", "--out", "q", "--family", "qwen3"]).contains("head_norms = none"));
    assert!(!bench.path("q").exists() && !bench.path("q.gguf").exists());
    assert!(bench.succeed(&["inspect", "smol"]).contains("vocabulary of 49152 (tied)"));
    assert!(bench.succeed(&["inspect", "smol/tokenizer.json"]).contains("49152 entries"));
    assert!(bench.refuse(&["convert", path, "--out", "smol"]).contains("is there already"));
    let half = std::fs::read(path).unwrap();
    std::fs::write(bench.path("half.gguf"), &half[..half.len() / 2]).unwrap();
    for args in [&["convert", "half.gguf", "--out", "other"][..], &["generate", "half.gguf", "--prompt", "a"]] {
        assert!(bench.refuse(args).contains("beyond the end of the file"));
    }
    assert!(!bench.path("other").exists(), "a refused file leaves nothing");
}

/// What transformers answers on the same weights in f32, by the same template, under greedy decoding.
const ANSWERS: [(&[&str], &str); 2] = [
    (&["--chat", "--prompt", "What is the capital of France?"], "The capital of France is Paris."),
    (
        &["--system", "You are a pirate.", "--prompt", "Tell me about the sea.", "--max-tokens", "40"],
        "The sea. She's a cruel mistress, a cruel mistress. She's a cruel mistress, a cruel mistress. She's a cruel \
         mistress, a cruel mistress. She's a cruel mistress, a",
    ),
];

#[test]
fn a_real_model_answers_as_in_transformers() {
    let Some(path) = smollm2() else { return };
    let (bench, path) = (Bench::new("chat"), path.to_str().unwrap());
    for (args, expected) in ANSWERS {
        let out = bench.succeed(&[&["generate", path, "--temperature", "0", "--json"], args].concat());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap()["text"], expected);
    }
    std::fs::write(bench.path("chat.json"), r#"[{"role": "user", "content": "What is the capital of France?"}]"#)
        .unwrap();
    let out = bench.succeed(&["generate", path, "--messages", "chat.json", "--temperature", "0"]);
    assert_eq!(out.trim(), ANSWERS[0].1);
    std::fs::write(bench.path("chat.json"), "{}").unwrap();
    assert!(bench.refuse(&["generate", path, "--messages", "chat.json"]).contains("messages: expected an array"));
    assert!(bench.refuse(&["generate", path, "--messages", "none.json"]).contains("none.json"));
}

#[test]
fn what_is_no_model_is_refused() {
    let bench = Bench::new("no-gguf");
    assert!(
        bench.refuse(&["convert", "text.jsonl", "--out", "a"]).contains("neither a model's folder nor a GGUF file")
    );
    assert!(bench.refuse(&["convert", "missing.gguf", "--out", "a"]).contains("missing.gguf"));
    std::fs::copy(bench.path("text.jsonl"), bench.path("text.gguf")).unwrap();
    assert!(bench.refuse(&["convert", "text.gguf", "--out", "a"]).contains("does not begin with 'GGUF'"));
    assert!(bench.refuse(&["generate", "text.gguf", "--prompt", "a"]).contains("does not begin with 'GGUF'"));
}
