//! Wrong requests: exit code 2, the fault named, nothing left behind.

use crate::support::Bench;

#[test]
fn wrong_recipes_are_refused() {
    let bench = Bench::new("recipes");
    let changes = [
        ("seq_len = 32", "seq_len = 32\nseqlen = 3", "seqlen"),
        ("seq_len = 32", "seq_len = \"32\"", "invalid type"),
        ("seq_len = 32", "seq_len = -5", "-5"),
        ("seq_len = 32", "seq_len = 1", "data.seq_len = 1"),
        ("vocab_size = 300", "vocab_size = 100", "at least 259"),
        ("n_heads = 4", "n_heads = 5", "does not divide d_model = 32"),
        ("n_kv_heads = 2", "n_kv_heads = 3", "does not divide n_heads"),
        ("d_ff = 48", "d_ff = 0", "d_ff = 0"),
        ("n_layers = 2", "n_layers = 100000", "deeper than any"),
        ("d_model = 32", "d_model = 100000000", "larger than any"),
        ("steps = 12", "steps = 9223372036854775807", "more than any training"),
        ("steps = 12", "steps = 0", "steps = 0"),
        ("steps = 12", "steps = 1e3", "invalid type"),
        ("micro_batch_size = 2", "micro_batch_size = 9", "at most batch_size"),
        ("peak = 1e-2", "peak = nan", "peak"),
        ("warmup = 0.2", "warmup = 2", "warmup = 2"),
        ("alpha = 0.9", "alpha = 1.9", "from 0 to 1"),
        ("temperature = 2.0", "temperature = 0", "temperature"),
        ("temperature = 2.0", "divergence = \"jsd\"", "beta must be given"),
        ("temperature = 2.0", "divergence = \"jsd\"\nbeta = 1.5", "beta = 1.5: must be from 0 to 1"),
        ("temperature = 2.0", "beta = 0.5", "beta = 0.5 is no setting of forward_kl"),
        ("temperature = 2.0", "divergence = \"skew_kl\"\nskew = 1", "from 0 to 0.99"),
        ("temperature = 2.0", "divergence = \"reverse_kl\"", "tail = true"),
        ("temperature = 2.0", "temperature = 2.0\ntail = true", "temperature 1 alone"),
        ("temperature = 2.0", "temperature = { per_row = \"luck\" }", "luck"),
        ("temperature = 2.0", "temperature = { per_row = \"deviation\", factor = 0 }", "factor"),
        ("temperature = 2.0", "student_temperature = \"pupil\"", "must be a number, or"),
        ("temperature = 2.0", "student_temperature = -1", "must be from"),
        ("temperature = 2.0", "text_weight = 0.5", "one way to weigh"),
        ("alpha = 0.9", "tail = true\nalpha = 0.9", "miss nothing"),
        ("alpha = 0.9", "text_weight = 0.9", "one way to weigh"),
        ("alpha = 0.9", "micro_batch_size = 0\nalpha = 0.9", "must be at least 1"),
        ("temperature = 2.0", "micro_batch_size = 1", "is for live teachers"),
        ("alpha = 0.9", "alpha = { shape = \"period\", peak = 1, every = 2 }", "every = 2"),
        ("run = \"teacher\"\ntop_p", "run = \"nobody\"\ntop_p", "nobody"),
        ("top_k = 20", "top_k = 0", "top_k = 0"),
        ("cache = \"pd\"", "cache = \"pd\"\nrun = \"teacher\"", "either run (live) or cache"),
        ("cache = \"pd\"", "cache = \"xx\"", "there is no [caches.xx]"),
        ("model = \"large\"", "model = \"huge\"", "there is no [models.huge]; there is: large, small"),
        ("name = \"tiny\"", "name = \"../tiny\"", "becomes a folder"),
        (
            "[models.small]",
            "[models.unused]\nd_model = 4\nn_layers = 1\nn_heads = 1\nd_ff = 4\n[models.small]",
            "unused",
        ),
        ("\"text.jsonl\"", "\"missing.jsonl\"", "missing.jsonl"),
        ("\"text.jsonl\"", "", "data.documents names no file"),
        ("heldout_fraction = 0.2", "heldout_fraction = 1.5", "between 0 and 1"),
        ("heldout_fraction = 0.2", "text_field = \"body\"", "no field 'body'"),
        ("seeds = [1, 2]", "seeds = [1, 1]", "given twice"),
    ];
    bench.refuse_changes(&["plan", "run"], "tiny.toml", &changes);
    let large = ["run", "tiny.toml", "--set", "models.large.d_ff=1000000000"];
    let error = bench.refuse(&large);
    assert!(error.contains("stage 'train/teacher' needs about") && error.contains("this machine has"), "{error}");
    assert!(!bench.path("runs").exists(), "nothing was begun");
}

#[test]
fn wrong_corpora_are_refused() {
    let bench = Bench::new("corpora");
    for (name, content, message) in [
        ("empty.jsonl", &b""[..], "corpus is empty"),
        ("blank.jsonl", b"{\"text\": \" \"}\n", "corpus is empty"),
        ("latin.jsonl", b"{\"text\": \"a\"}\n{\"text\": \"\xe9\"}\n", "line 2: byte 10 is not UTF-8"),
        ("broken.jsonl", b"{\"text\": \"a\"\n", "line 1: not JSON"),
        ("torn.jsonl.gz", b"\x1f\x8b\x08\x00", "gzip damaged before byte 4"),
    ] {
        std::fs::write(bench.path(name), content).unwrap();
        let set = format!("data.documents=[\"{name}\"]");
        let error = bench.refuse(&["run", "tiny.toml", "--set", &set]);
        assert!(error.contains(message), "{name}: {error}");
    }
    let few: Vec<String> = (0..8).map(|i| format!("{{\"text\": \"words {i} and more words\"}}")).collect();
    std::fs::write(bench.path("few.jsonl"), few.join("\n")).unwrap();
    let few = ["--set", "data.documents=[\"few.jsonl\"]", "--set", "data.heldout_fraction=0.5"];
    let error = bench.refuse(&[&["run", "tiny.toml"][..], &few].concat());
    assert!(error.contains("a vocabulary of 300 entries was asked for, but the text supports"), "{error}");
    let small = ["--set", "tokenizer.vocab_size=262", "--set", "data.seq_len=2048"];
    let error = bench.refuse(&[&["run", "tiny.toml", "--out", "small"][..], &few, &small].concat());
    assert!(error.contains("fewer than one sequence of 2048"), "{error}");
}

#[test]
fn wrong_commands_are_refused() {
    let bench = Bench::new("commands");
    for (args, message) in [
        (&["run"][..], "RECIPE"),
        (&["run", "nothing.toml"], "nothing.toml"),
        (&["run", "text.jsonl"], "not a recipe"),
        (&["run", "tiny.toml", "--set", "seed"], "expected key=value"),
        (&["run", "tiny.toml", "--set", "sead=3"], "sead"),
        (&["run", "tiny.toml", "--set", "runs.x.seeds=[1]"], "'runs' has no 'x'"),
        (&["run", "tiny.toml", "--threads", "0"], "--threads"),
        (&["inspect", "nothing"], "nothing"),
        (&["inspect", "text.jsonl"], "nothing here is a file of tutelage"),
        (&["report", "."], "no summary.json"),
        (&["report", "nothing"], "nothing"),
        (&["generate", "nothing", "--prompt", "a"], "nothing"),
        (&["generate", "nothing", "--prompt", "a", "--temperature", "-1"], "temperature = -1"),
        (&["bench", "step", "--shape", "huge"], "unknown shape 'huge'; one of s16m"),
        (&["bench", "step", "--shape", "63,1,2,1,8,50,1,8"], "does not divide d_model"),
        (&["bench", "step", "--teacher", "dead"], "dead"),
        (&["bench", "step", "--experts", "4"], "as in 8:2"),
        (&["bench", "step", "--experts", "2:4"], "number of experts, 2"),
        (&["fly"], "fly"),
    ] {
        let error = bench.refuse(args);
        assert!(error.contains(message), "{args:?}: {error}");
    }
    let output = bench.command(&["run", "tiny.toml"]).env("TUTELAGE_ISA", "abacus").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("unknown instruction set 'abacus'"));
}

#[test]
fn damaged_files_of_a_run_are_found() {
    let bench = Bench::new("damaged");
    bench.succeed(&["run", "tiny.toml", "--out", "run", "--set", "training.all.steps=4"]);
    let steps = ["--set", "training.all.steps=4"];
    for (file, message) in [
        ("run/shards/train.bin", "damaged"),
        ("run/shards/train.idx", "damaged"),
        ("run/caches/pd/part-00000.ttc", "damaged"),
        ("run/models/teacher/model/model.safetensors", "damaged"),
        ("run/tokenizer/tokenizer.json", "tokenizer.json"),
    ] {
        let good = std::fs::read(bench.path(file)).unwrap();
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        // What reads the file is done anew: the evaluation of the model, the training from the cache.
        for name in ["run/evaluations/teacher", "run/models/cached", "run/evaluations/cached"] {
            let _ = std::fs::remove_dir_all(bench.path(name));
        }
        for bad in [&flipped[..], &good[..good.len() - 9]] {
            std::fs::write(bench.path(file), bad).unwrap();
            let error = bench.refuse(&[&["run", "tiny.toml", "--out", "run"][..], &steps].concat());
            assert!(error.contains(message), "{file}: {error}");
            if !file.ends_with("tokenizer.json") {
                assert!(bench.refuse(&["inspect", file]).contains("not whole"), "{file}");
            }
        }
        std::fs::write(bench.path(file), good).unwrap();
    }
    bench.succeed(&[&["run", "tiny.toml", "--out", "run"][..], &steps].concat());
}
