//! From documents of two sources to a mixture, to students that are trained on its phases, and to other trainers' files; classifiers.

use serde_json::Value;

use crate::support::{Bench, lasting_files};

const MIX: &str = r#"
name = "sources"
[[stages]]
name = "web"
stage = "read"
inputs = ["text.jsonl"]
[[stages]]
name = "books"
stage = "read"
inputs = ["books.jsonl"]
[[stages]]
name = "mix"
from = ["web", "books"]
tokenizer = "first/tokenizer"
heldout_fraction = 0.2
sources.books.max_epochs = 2
[[stages.phases]]
name = "short"
seq_len = 32
weights = { web = 0.5, books = 0.5 }
[[stages.phases]]
name = "again"
seq_len = 64
epochs = { web = 1.0 }
"#;

/// A tokenizer of the tiny recipe's, a second source, and a mixture of both in `mixed/data/mix`.
fn prepare(bench: &Bench) {
    bench.edit("tiny.toml", "steps = 12", "steps = 2");
    let recipe = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let runs = recipe.find("[[runs]]\nname = \"text\"").unwrap();
    let small = "[models.small]\nd_model = 16\nn_layers = 1\nn_heads = 2\nd_ff = 24\n";
    let cache = "[caches.pd]\nrun = \"teacher\"\ntop_p = 0.95\ntop_k = 20\n";
    let head = recipe[..runs].replace(small, "").replace(cache, "");
    std::fs::write(bench.path("first.toml"), head).unwrap();
    bench.succeed(&["run", "first.toml", "--out", "first"]);
    bench.edit("tiny.toml", "steps = 2", "steps = 12");
    let text = std::fs::read_to_string(bench.path("text.jsonl")).unwrap();
    // Longer ones, with words in another order.
    let books = text.lines().rev().map(|line| line.replace("\"}", &format!(" {}", &line[10..])));
    std::fs::write(bench.path("books.jsonl"), books.take(20).collect::<Vec<_>>().join("\n")).unwrap();
    std::fs::write(bench.path("mix.toml"), MIX).unwrap();
    bench.succeed(&["run", "mix.toml", "--out", "mixed"]);
}

fn train_on_mix(bench: &Bench, more: &str) {
    let data = format!("mix = \"mixed/data/mix\"\nphase = \"short\"\n{more}");
    bench.edit("tiny.toml", "documents = [\"text.jsonl\"]", &data);
    bench.edit("tiny.toml", "vocab_size = 300", "from = \"mixed/data/mix/tokenizer\"");
}

#[test]
fn a_mixture_is_trained_on() {
    let bench = Bench::new("mixed");
    prepare(&bench);
    let report: Value = serde_json::from_slice(&std::fs::read(bench.path("mixed/data/mix/mix.json")).unwrap()).unwrap();
    let phase = &report["phases"][0];
    let tokens = |source: &str| phase["sources"][source]["tokens"].as_u64().unwrap();
    let share = tokens("web") as f64 / phase["tokens"].as_u64().unwrap() as f64;
    assert!((share - 0.5).abs() < 0.03, "{share}");
    train_on_mix(&bench, "packing = \"best_fit\"\n");
    let plan: Value = serde_json::from_str(&bench.succeed(&["plan", "tiny.toml", "--json"])).unwrap();
    let rows = plan.as_array().or_else(|| plan["stages"].as_array()).unwrap();
    let shards = rows.iter().find(|row| row["stage"] == "shards").unwrap();
    assert!(shards["tokens"].as_u64().unwrap() > phase["tokens"].as_u64().unwrap());
    bench.succeed(&["run", "tiny.toml", "--out", "out"]);
    // Killed again and again: the same bits, with live and cached teachers on sequences of several lengths.
    bench.run_killed("killed");
    assert_eq!(lasting_files(&bench.path("out")), lasting_files(&bench.path("killed")));
    let loss = |out: &str| bench.metrics(out, "text").last().unwrap()["loss"].as_f64();
    assert!(loss("out").unwrap().is_finite());
    // Another packing is other data.
    bench.edit("tiny.toml", "packing = \"best_fit\"\n", "");
    let error = bench.refuse(&["run", "tiny.toml", "--out", "out"]);
    assert!(error.contains("other settings or data"), "{error}");
    bench.succeed(&["run", "tiny.toml", "--out", "stream"]);
    assert_ne!(loss("stream"), loss("out"));
}

#[test]
fn what_does_not_fit_a_mixture_is_refused() {
    let bench = Bench::new("mixed-refused");
    prepare(&bench);
    train_on_mix(&bench, "");
    let from = "from = \"mixed/data/mix/tokenizer\"";
    bench.refuse_changes(
        &["plan", "run"],
        "tiny.toml",
        &[
            (from, "vocab_size = 300", "set tokenizer.from"),
            ("phase = \"short\"", "phase = \"long\"", "has no phase 'long' (data.phase); it has short, again"),
            ("phase = \"short\"\n", "", "choose one with data.phase"),
            ("mix = \"mixed/data/mix\"", "mix = \"mixed\"", "mix.json"),
            ("mix = ", "documents = [\"text.jsonl\"]\nmix = ", "not both"),
            ("mix = ", "route_field = \"x\"\nmix = ", "data.route_field"),
            ("packing", "packing_", "unknown field"),
        ][..6],
    );
    let error = bench.refuse(&["run", "mix.toml", "--out", "mixed", "--set", "stages.mix.seed=2"]);
    assert!(error.contains("other settings"), "{error}");
    let error = bench.refuse(&[
        "run",
        "mix.toml",
        "--out",
        "b",
        "--set",
        "stages.mix.phases=[{name=\"x\",tokens=100000000,weights={web=1}}]",
    ]);
    assert!(error.contains("stage 'mix': phase 'x': weights.web"), "{error}");
}

#[test]
fn other_trainers_get_their_files() {
    let bench = Bench::new("exported");
    prepare(&bench);
    let stem = "mixed/data/mix/short";
    let bin = std::fs::read(bench.path(&format!("{stem}.bin"))).unwrap();
    // One folder may hold all of them.
    let metadata = |folder: &str| std::fs::read_to_string(bench.path(folder).join("short.ds.metadata")).unwrap();
    let formats = [("megatron", "short.bin", 0), ("nanotron", "short.ds", 0), ("llmc", "short_000000.bin", 1024)];
    for (format, ..) in formats {
        let said = bench.succeed(&["data", "export", stem, "--format", format, "--out", "files"]);
        assert!(said.contains("tokens of"), "{said}");
    }
    for (format, file, head) in formats {
        assert!(std::fs::read(bench.path("files").join(file)).unwrap()[head..] == bin, "{format}");
    }
    assert_eq!(metadata("files"), metadata("mixed/data/mix"));
    bench.succeed(&["data", "export", &format!("{stem}.bin"), "--format", "litdata", "--out", "lit", "--size", "1000"]);
    assert!(bench.path("lit/chunk-0-1.bin").exists());
    bench.succeed(&["data", "export", stem, "--format", "llmc", "--out", "pieces", "--size", "500"]);
    for (args, found) in [
        (&["data", "export", stem, "--format", "nanotron", "--out", "mixed/data/mix"][..], "own folder"),
        (
            &["data", "export", stem, "--format", "llmc", "--out", "pieces"],
            "short_000001.bin: is left of another export",
        ),
        (&["data", "export", stem, "--format", "megatron", "--out", "x", "--size", "3"], "--size"),
        (&["data", "export", "nothing", "--format", "llmc", "--out", "x"], "is no shard"),
    ] {
        let error = bench.refuse(args);
        assert!(error.contains(found), "{error}");
    }
    // The stages in one page; of what is no documents without lengths.
    let said = bench.succeed(&["report", "mixed"]);
    assert!(said.contains("web: 40 of 40 documents kept") && said.contains("mix: "), "{said}");
    let page = std::fs::read_to_string(bench.path("mixed/report.html")).unwrap();
    for found in ["Documents kept by each stage", "Characters of a document", "Tokens of short", "id=\"books\""] {
        assert!(page.contains(found), "{found}");
    }
    bench.succeed(&["report", "mixed/data/web"]);
    assert!(bench.path("mixed/data/web/report.html").exists() && bench.path("mixed/data/web/look.json").exists());
    // Tokens are no documents.
    let error = bench.refuse(&["data", "stats", "mixed/data/mix"]);
    assert!(error.contains("no documents"), "{error}");
}

#[test]
fn a_classifier_is_learned_and_asked() {
    let bench = Bench::new("classifier");
    let lines = |word: &str, label: &str| -> String {
        let line = |i: u32| {
            format!("{{\"text\":\"{word} of the number {i} and more\",\"label\":\"{label}\",\"language\":\"en\"}}\n")
        };
        (0..300).map(line).collect()
    };
    std::fs::write(bench.path("a.jsonl"), lines("spam", "bad") + &lines("word", "good")).unwrap();
    let said = bench.succeed(&["data", "classifier", "train", "a.jsonl", "--out", "model"]);
    assert!(said.contains("threshold on 'bad'"), "{said}");
    let args = ["data", "classifier", "apply", "model/model.bin", "a.jsonl", "--out", "applied", "--json"];
    let manifest: Value = serde_json::from_str(&bench.succeed(&args)).unwrap();
    assert_eq!(manifest["counts"]["classify_label_bad"], 300);
    let evaluate = ["data", "classifier", "evaluate", "model/model.bin", "a.jsonl", "--json"];
    let card: Value = serde_json::from_str(&bench.succeed(&evaluate)).unwrap();
    assert_eq!(card["evaluation"]["languages"]["en"]["accuracy"], 1.0);
    let quality = "classifiers=[{name=\"spam\",model=\"model/model.bin\",label=\"bad\",max=0.5}]";
    let args = ["data", "quality", "a.jsonl", "--out", "kept", "--json", "--set", quality];
    let manifest: Value = serde_json::from_str(&bench.succeed(&args)).unwrap();
    assert_eq!((&manifest["kept"], &manifest["dropped"]["classifier"]), (&300.into(), &300.into()));
    for (args, found) in [
        (&["data", "classifier", "train", "--out", "x"][..], "no documents"),
        (&["data", "classifier", "train", "a.jsonl", "--out", "x", "--set", "dims=3"], "no setting 'dims'"),
        (&["data", "classifier", "train", "a.jsonl", "--out", "x", "--set", "label_field=kind"], "field 'kind'"),
        (&["data", "classifier", "evaluate", "a.jsonl", "a.jsonl"], "no classifier"),
        (
            &["data", "classifier", "evaluate", "model/model.bin", "a.jsonl", "--set", "label_field=language"],
            "good, bad",
        ),
        (&["data", "classifier", "apply", "gone.bin", "a.jsonl", "--out", "x"], "gone.bin"),
        (
            &["data", "classifier", "apply", "model/model.bin", "a.jsonl", "--out", "x", "--set", "model=b"],
            "the first argument",
        ),
    ] {
        let error = bench.refuse(args);
        assert!(error.contains(found), "{error}");
    }
    // A model and a card that do not belong together.
    std::fs::copy(bench.path("model/model.json"), bench.path("other.json")).unwrap();
    std::fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/../tutelage-corpus/tests/fixtures/classifier/hs.bin"),
        bench.path("other.bin"),
    )
    .unwrap();
    let error = bench.refuse(&["data", "classifier", "evaluate", "other.bin", "a.jsonl"]);
    assert!(error.contains("is not about"), "{error}");
}
