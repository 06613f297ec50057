//! Recipes that begin from stored models: as teachers, to train on, under adapters.

use serde_json::Value;

use crate::support::{Bench, lasting_files};

const RECIPE: &str = r#"
name = "stored"
seed = 5
[data]
documents = ["text.jsonl"]
heldout_fraction = 0.2
seq_len = 32
[tokenizer]
from = "first/tokenizer"
[models.given]
from = "first/models/teacher/model"
[models.adapted]
from = "llama"
lora = { rank = 2, alpha = 4, targets = ["q_proj", "v_proj", "down_proj"] }
[models.small]
d_model = 16
n_layers = 1
n_heads = 2
d_ff = 24
[training.all]
steps = 8
batch_size = 4
micro_batch_size = 2
lr = 5e-3
log_every = 4
eval_every = 4
checkpoint_every = 3
[caches.pd]
model = "given"
top_p = 0.95
top_k = 20
[[runs]]
name = "more"
model = "given"
training = "all"
[[runs]]
name = "lora"
model = "adapted"
training = "all"
[[runs]]
name = "live"
model = "small"
training = "all"
[runs.teacher]
model = "given"
alpha = 0.9
[[runs]]
name = "cached"
model = "small"
training = "all"
[runs.teacher]
cache = "pd"
alpha = 0.9
[[runs]]
name = "taught"
model = "adapted"
training = "all"
[runs.teacher]
run = "more"
alpha = 0.5
[samples]
prompts = ["the king"]
max_tokens = 4
"#;

fn prepared(name: &str) -> Bench {
    let bench = Bench::new(name);
    bench.succeed(&["run", "tiny.toml", "--out", "first"]);
    bench.succeed(&["convert", "first/models/teacher/model", "--out", "llama", "--family", "llama"]);
    std::fs::write(bench.path("stored.toml"), RECIPE).unwrap();
    bench
}

fn json(bench: &Bench, path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(bench.path(path)).unwrap()).unwrap()
}

#[test]
fn stored_models_teach_and_learn() {
    let bench = prepared("stored");
    let rows: Value = serde_json::from_str(&bench.succeed(&["plan", "stored.toml", "--json"])).unwrap();
    let stages: Vec<&str> =
        rows["stages"].as_array().unwrap().iter().map(|row| row["stage"].as_str().unwrap()).collect();
    assert!(stages.contains(&"evaluate/given") && !stages.contains(&"train/given"), "{stages:?}");
    bench.succeed(&["run", "stored.toml", "--out", "run"]);
    let (first, summary) = (json(&bench, "first/summary.json"), json(&bench, "run/summary.json"));
    let model = |summary: &Value, name: &str| {
        summary["models"].as_array().unwrap().iter().find(|model| model["name"] == name).cloned().unwrap()
    };
    // The same tokenizer and documents, so what is stored is worth what it was.
    let given = model(&summary, "given");
    assert_eq!(given["heldout_loss"], model(&first, "teacher")["heldout_loss"]);
    assert_eq!((given["tokens"].as_u64(), given["stage"].as_str()), (Some(0), Some("")));
    let loss = |name: &str| model(&summary, name)["heldout_loss"].as_f64().unwrap();
    assert!(loss("more") < loss("given") && loss("lora") < loss("given"), "{summary:#}");
    // Adapters lie beside the model that they are merged into, whose other weights are as they were.
    bench.succeed(&["convert", "llama", "--adapter", "run/models/lora/adapters", "--out", "merged"]);
    let weights = |path: &str| std::fs::read(bench.path(path)).unwrap();
    assert!(weights("merged/model.safetensors") == weights("run/models/lora/model/model.safetensors"));
    assert!(weights("llama/model.safetensors") != weights("merged/model.safetensors"));
    bench.succeed(&["generate", "run/models/lora/model", "--prompt", "the", "--max-tokens", "2"]);
    let found = bench.succeed(&["inspect", "run"]);
    assert!(found.contains("LoRA of rank 2, scale 2") && !found.contains("not whole"), "{found}");
    std::fs::copy(bench.path("llama/model.safetensors"), bench.path("alone.safetensors")).unwrap();
    assert!(bench.refuse(&["inspect", "alone.safetensors"]).contains("nothing here is a file of tutelage"));

    // Killed at other steps, the same bits.
    for at in ["1", "2"] {
        let out = format!("run-{at}");
        let mut child = bench.quiet(&["run", "stored.toml", "--out", &out, "--threads", at]).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(60 * at.parse::<u64>().unwrap()));
        let _ = child.kill();
        child.wait().unwrap();
        bench.succeed(&["run", "stored.toml", "--out", &out]);
        let (a, b) = (lasting_files(&bench.path("run")), lasting_files(&bench.path(&out)));
        let different = a.iter().zip(&b).find(|(a, b)| a != b).map(|(a, _)| a.0.display().to_string());
        assert_eq!((a.len(), different), (b.len(), None));
    }

    // Another file where the teacher was is noticed.
    std::fs::remove_dir_all(bench.path("run/evaluations/given")).unwrap();
    std::fs::rename(bench.path("first/models/teacher"), bench.path("first/models/moved")).unwrap();
    std::fs::create_dir(bench.path("first/models/teacher")).unwrap();
    bench.succeed(&["convert", "first/models/moved/model", "--out", "first/models/teacher/model", "--dtype", "bf16"]);
    let error = bench.refuse(&["run", "stored.toml", "--out", "run"]);
    assert!(error.contains("was made with other settings or data"), "{error}");
}

#[test]
fn wrong_stored_models_are_refused() {
    let bench = prepared("stored-wrong");
    bench.succeed(&["run", "tiny.toml", "--out", "other", "--set", "tokenizer.vocab_size=310"]);
    for (from, to, message) in [
        ("from = \"first/tokenizer\"", "vocab_size = 300", "comes with its own tokenizer; set tokenizer.from"),
        ("from = \"first/tokenizer\"", "", "give vocab_size to learn one"),
        ("from = \"first/tokenizer\"", "from = \"first/tokenizer\"\nvocab_size = 300", "give vocab_size to learn one"),
        ("from = \"first/tokenizer\"", "from = \"other/tokenizer\"", "id 300 is"),
        ("from = \"first/tokenizer\"", "from = \"nowhere\"", "nowhere"),
        ("from = \"first/models/teacher/model\"", "from = \"first/models/nobody\"", "nobody"),
        ("from = \"first/models/teacher/model\"", "from = \"text.jsonl\"", "neither a model's folder nor a GGUF"),
        ("from = \"llama\"", "from = \"llama\"\nd_model = 16", "unknown field `d_model`"),
        ("rank = 2", "rank = 0", "r = 0"),
        ("\"v_proj\"", "\"value\"", "target_modules = value"),
        ("targets = [\"q_proj\", \"v_proj\", \"down_proj\"]", "targets = []", "target_modules = []"),
        ("model = \"given\"\nalpha", "model = \"small\"\nalpha", "is not stored"),
        ("model = \"given\"\nalpha", "model = \"adapted\"\nalpha", "has adapters that a run trains"),
        ("model = \"given\"\nalpha", "model = \"nothing\"\nalpha", "there is no [models.nothing]"),
        ("model = \"given\"\nalpha", "model = \"given\"\nrun = \"more\"\nalpha", "teacher needs either"),
        ("model = \"given\"\ntop_p", "model = \"given\"\nrun = \"more\"\ntop_p", "give either run or model"),
        ("name = \"more\"", "name = \"given\"", "rename one of them"),
        ("seq_len = 32", "seq_len = 64", "max_positions = 32 is less than data.seq_len = 64"),
    ] {
        std::fs::write(bench.path("stored.toml"), RECIPE).unwrap();
        bench.edit("stored.toml", from, to);
        if to.contains("\"given\"") && from.starts_with("name") {
            bench.edit("stored.toml", "run = \"more\"", "run = \"given\"");
        }
        let error = bench.refuse(&["plan", "stored.toml"]);
        assert!(error.contains(message), "{to}: {error}");
    }
}
