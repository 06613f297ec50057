//! A folder with a tiny corpus and recipe, and the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

pub(crate) struct Bench {
    pub(crate) folder: PathBuf,
}

const WORDS: [&str; 16] = [
    "the", "king", "said", "unto", "all", "people", "go", "up", "and", "see", "what", "lord", "hath", "done", "for",
    "thee",
];

/// Text that looks random, the same everywhere.
fn document(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = String::new();
    for _ in 0..120 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.push_str(WORDS[(state >> 32) as usize % WORDS.len()]);
        out.push(' ');
    }
    out
}

const RECIPE: &str = r#"
name = "tiny"
seed = 3
[data]
documents = ["text.jsonl"]
heldout_fraction = 0.2
seq_len = 32
[tokenizer]
vocab_size = 300
[models.large]
d_model = 32
n_layers = 2
n_heads = 4
n_kv_heads = 2
d_ff = 48
[models.small]
d_model = 16
n_layers = 1
n_heads = 2
d_ff = 24
[training.all]
steps = 12
batch_size = 4
micro_batch_size = 2
lr = { shape = "wsd", peak = 1e-2, warmup = 0.2, decay = 0.2 }
log_every = 4
eval_every = 6
checkpoint_every = 4
[caches.pd]
run = "teacher"
top_p = 0.95
top_k = 20
[[runs]]
name = "teacher"
model = "large"
training = "all"
[[runs]]
name = "text"
model = "small"
training = "all"
[[runs]]
name = "live"
model = "small"
training = "all"
seeds = [1, 2]
[runs.teacher]
run = "teacher"
alpha = 0.9
[[runs]]
name = "cached"
model = "small"
training = "all"
[runs.teacher]
cache = "pd"
temperature = 2.0
alpha = { shape = "wsd", peak = 0.9, warmup = 0.1, decay = 0.1 }
[samples]
prompts = ["the king"]
max_tokens = 8
"#;

impl Bench {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tutelage-cli-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let lines: Vec<String> = (1..=40).map(|i| format!("{{\"text\": \"{}\"}}", document(i))).collect();
        std::fs::write(folder.join("text.jsonl"), lines.join("\n")).unwrap();
        std::fs::write(folder.join("tiny.toml"), RECIPE).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tutelage"));
        command.current_dir(&self.folder).args(args).env_remove("TUTELAGE_ISA");
        command
    }

    /// A command whose output nobody reads.
    pub(crate) fn quiet(&self, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    pub(crate) fn tutelage(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Standard output of a command that must succeed.
    #[track_caller]
    pub(crate) fn succeed(&self, args: &[&str]) -> String {
        let output = self.tutelage(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Standard error of a command that must be refused.
    #[track_caller]
    pub(crate) fn refuse(&self, args: &[&str]) -> String {
        let output = self.tutelage(args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(!error.contains("panicked"), "{error}");
        error
    }

    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(self.path(name), text.replacen(from, to, 1)).unwrap();
    }

    /// Puts other runs, and what they need, in the place of the recipe's, which are of the small model alone; `(from, to)` is changed before them.
    pub(crate) fn students_alone(&self, changes: &[(&str, &str)], runs: &str) {
        let recipe = std::fs::read_to_string(self.path("tiny.toml")).unwrap();
        let at = |section: &str| recipe.find(section).unwrap();
        let head = recipe[..at("[models.large]")].to_owned() + &recipe[at("[models.small]")..at("[caches.pd]")];
        std::fs::write(self.path("tiny.toml"), head + runs).unwrap();
        changes.iter().for_each(|(from, to)| self.edit("tiny.toml", from, to));
    }

    /// Each of these changes to a recipe, `(from, to, message)`, alone makes the commands refuse it with the message.
    #[track_caller]
    pub(crate) fn refuse_changes(&self, commands: &[&str], recipe: &str, changes: &[(&str, &str, &str)]) {
        let original = std::fs::read_to_string(self.path(recipe)).unwrap();
        for (from, to, message) in changes {
            self.edit(recipe, from, to);
            for command in commands {
                let error = self.refuse(&[command, recipe]);
                assert!(error.contains(message), "{to}: {error}");
            }
            std::fs::write(self.path(recipe), &original).unwrap();
        }
    }

    /// Runs the recipe and kills it, again and again until it ends by itself. Each attempt lives a little longer than the one before,
    /// so that each gets to kill something new.
    pub(crate) fn run_killed(&self, out: &str) {
        let first = 20;
        let mut wait = first;
        loop {
            let mut child = self.quiet(&["run", "tiny.toml", "--out", out]).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(wait));
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success());
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            wait = wait * 5 / 4;
        }
        assert!(wait > first, "nothing was killed");
    }

    /// The lines of a model's metrics.
    pub(crate) fn metrics(&self, out: &str, model: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.path(&format!("{out}/models/{model}/metrics.jsonl"))).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Every file of a run whose bytes must not depend on interruptions, with its bytes.
pub(crate) fn lasting_files(run: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut out = Vec::new();
    let mut folders = vec![run.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                if name != "tb" {
                    folders.push(path);
                }
            } else if name.ends_with(".safetensors") || name.ends_with(".ttc") || name == "metrics.jsonl" {
                let bytes = std::fs::read(&path).unwrap();
                out.push((path.strip_prefix(run).unwrap().to_path_buf(), bytes));
            }
        }
    }
    out.sort();
    out
}
