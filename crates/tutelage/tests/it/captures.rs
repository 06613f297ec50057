//! Teachers whom DistillKit has written down. The texts of these tests are those of its captures (`fixtures/capture/make.py`).

#![cfg_attr(not(feature = "parquet"), allow(dead_code))]

use std::path::Path;

use crate::support::Bench;
#[cfg(feature = "parquet")]
use crate::support::lasting_files;

fn prepare(bench: &Bench) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tutelage-teacher/fixtures/capture");
    std::fs::create_dir_all(bench.path("logits")).unwrap();
    for name in ["compression_config.yaml", "data_0.parquet", "data_1.parquet", "data_2.parquet"] {
        std::fs::copy(fixtures.join("recommended").join(name), bench.path("logits").join(name)).unwrap();
    }
    std::fs::copy(fixtures.join("tokenizer.json"), bench.path("tokenizer.json")).unwrap();
    let runs = r#"
[caches.far]
capture = "logits"
top_k = 12
[[runs]]
name = "taught"
model = "small"
training = "all"
[runs.teacher]
cache = "far"
tail = true
alpha = 0.5
"#;
    bench.students_alone(&[("vocab_size = 300", "from = \"tokenizer.json\""), ("seq_len = 32", "seq_len = 96")], runs);
}

#[cfg(feature = "parquet")]
#[test]
fn a_capture_teaches_where_it_has_read_the_same() {
    let bench = Bench::new("captures");
    prepare(&bench);
    assert!(bench.succeed(&["plan", "tiny.toml"]).contains("top-1-12 of logits"));
    let output = bench.tutelage(&["run", "tiny.toml", "--out", "out"]);
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    let found = log.lines().find(|line| line.contains("the capture speaks of")).unwrap_or_else(|| panic!("{log}"));
    assert!(found.contains("0.0 % held no distribution, and 0 entries are beyond"), "{found}");
    // Documents are longer than sequences: parts whose beginning is elsewhere have no teacher.
    let share: f64 = found.split("speaks of ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(share > 20.0 && share < 50.0, "{found}");
    bench.succeed(&["teacher", "verify", "out/caches/far"]);
    bench.succeed(&["teacher", "stats", "out/caches/far"]);
    for line in bench.metrics("out", "taught") {
        assert!(line["kl"].as_f64().unwrap() > 0.0 && line["kd_loss"].as_f64().unwrap() > 0.0, "{line}");
    }
    bench.succeed(&["report", "out"]);
    let left: Vec<_> = std::fs::read_dir(bench.path("out/caches/far")).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(!left.iter().any(|path| path.extension().is_some_and(|e| e == "spool" || e == "claim")), "{left:?}");
    // Killed again and again: the same bytes.
    bench.run_killed("killed");
    assert_eq!(lasting_files(&bench.path("out")), lasting_files(&bench.path("killed")));
    // With all that its teacher has read it teaches everything, and is another cache.
    bench.edit("tiny.toml", "top_k = 12", "top_k = 12\nlonger_context = true");
    assert!(bench.refuse(&["run", "tiny.toml", "--out", "out"]).contains("cache/far"));
    let output = bench.tutelage(&["run", "tiny.toml", "--out", "longer"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("speaks of 100.0 %"));
    bench.edit("tiny.toml", "longer_context = true", "longer_context = false");
    bench.succeed(&["run", "tiny.toml", "--out", "out"]);
    // So is what another capture says.
    std::fs::remove_file(bench.path("logits/data_2.parquet")).unwrap();
    assert!(bench.refuse(&["run", "tiny.toml", "--out", "out"]).contains("cache/far"));
}

#[cfg(feature = "parquet")]
#[test]
fn the_texts_of_a_capture_are_those_it_was_made_of() {
    let bench = Bench::new("captured-texts");
    prepare(&bench);
    let args = ["teacher", "texts", "logits", "--tokenizer", "tokenizer.json", "--out", "found.jsonl"];
    let said: serde_json::Value = serde_json::from_str(&bench.succeed(&[&args[..], &["--json"]].concat())).unwrap();
    assert_eq!((&said["documents"], &said["written"]), (&40.into(), &40.into()));
    assert_eq!(said["ids"], said["same"]);
    let lines = |name: &str| {
        let text = std::fs::read_to_string(bench.path(name)).unwrap();
        let text =
            text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["text"].to_string());
        let mut lines: Vec<String> = text.collect();
        lines.sort();
        lines
    };
    assert_eq!(lines("found.jsonl"), lines("text.jsonl"));
    assert!(bench.refuse(&args).contains("is there already"));
    // Of another tokenizer.
    bench.edit("tiny.toml", "from = \"tokenizer.json\"", "vocab_size = 290");
    bench.edit("tiny.toml", "capture = \"logits\"\ntop_k = 12", "run = \"taught\"\ntop_k = 12");
    bench.edit("tiny.toml", "[runs.teacher]\ncache = \"far\"\ntail = true\nalpha = 0.5\n", "");
    bench.edit("tiny.toml", "[caches.far]\nrun = \"taught\"\ntop_k = 12\n", "");
    bench.succeed(&["run", "tiny.toml", "--out", "other"]);
    let args = ["teacher", "texts", "logits", "--tokenizer", "other/tokenizer", "--out", "none.jsonl"];
    assert!(bench.refuse(&args).contains("is it the tokenizer of the capture"));
    assert!(!bench.path("none.jsonl").exists());
}

#[cfg(feature = "parquet")]
#[test]
fn captures_that_cannot_teach_are_refused() {
    let bench = Bench::new("wrong-captures");
    prepare(&bench);
    let changes = [
        ("top_k = 12", "samples = 12", "set top_k in place of samples"),
        ("top_k = 12", "top_k = 17", "holds 16 entries of each token"),
        ("top_k = 12", "top_k = 12\nsnapshot = 0.5", "snapshot is of a run"),
        ("top_k = 12", "top_k = 12\nserver = \"far\"", "give one of run, model, server and capture"),
        ("capture = \"logits\"", "capture = \"nowhere\"", "nowhere"),
        ("capture = \"logits\"", "capture = \"text.jsonl\"", "text.jsonl"),
        ("tail = true", "divergence = \"reverse_kl\"", "reverse_kl"),
    ];
    bench.refuse_changes(&["plan"], "tiny.toml", &changes);
    // Of other texts: it is found out when the tokens are known, before anything is learned.
    bench.edit("tiny.toml", "from = \"tokenizer.json\"", "vocab_size = 290");
    let error = bench.refuse(&["run", "tiny.toml", "--out", "other"]);
    assert!(error.contains("has none of the documents"), "{error}");
}

#[cfg(not(feature = "parquet"))]
#[test]
fn without_parquet_captures_are_refused_by_name() {
    let bench = Bench::new("no-captures");
    prepare(&bench);
    assert!(bench.refuse(&["plan", "tiny.toml"]).contains("build it with --features parquet"));
}
