//! `cargo xtask fixtures`: makes fixtures again by the libraries that tests are measured against, and has those libraries
//! load what tutelage writes. Needs gigabytes of Python packages (each script names its own), so it is no test.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Scripts that write fixtures, in order.
const SCRIPTS: [&str; 7] = [
    "crates/tutelage-model/fixtures/decoder/make.py",
    "crates/tutelage-model/fixtures/llama/make.py",
    "crates/tutelage-model/fixtures/families/make.py",
    "crates/tutelage-model/fixtures/gguf/make.py",
    "crates/tutelage-model/fixtures/lora/make.py",
    "crates/tutelage-token/fixtures/make.py",
    "crates/tutelage-token/fixtures/chat/make.py",
];

/// Runs a program in the project's folder.
pub(crate) fn run(root: &Path, program: &str, args: &[&str]) -> Result<()> {
    println!("+ {program} {}", args.join(" "));
    let status = Command::new(program).args(args).current_dir(root).status().with_context(|| program.to_owned())?;
    if !status.success() {
        bail!("{program} {} failed", args.join(" "));
    }
    Ok(())
}

/// Runs the scripts by this Python, unless only what tutelage writes is to be checked.
pub(crate) fn fixtures(root: &Path, python: &str, only_check: bool) -> Result<()> {
    if !only_check {
        SCRIPTS.iter().try_for_each(|script| run(root, python, &[script]))?;
    }
    let scratch = root.join("target/fixtures");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    std::fs::create_dir_all(&scratch)?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    run(root, &cargo, &["build", "--release"])?;
    let fixtures = "crates/tutelage-model/fixtures";
    let convert = |input: &str, out: &str, more: &[&str]| -> Result<String> {
        let out = format!("target/fixtures/{out}");
        run(root, "target/release/tutelage", &[&["convert", input, "--out", &out][..], more].concat())?;
        Ok(out)
    };
    let mut written = Vec::new();
    for kind in ["mistral", "mixtral", "qwen2", "qwen2-mixed", "qwen3", "qwen3-window", "glm", "glm4", "dynamic"] {
        written.push(convert(&format!("{fixtures}/families/{kind}"), kind, &[])?);
    }
    for kind in ["plain", "tied", "linear", "llama3", "yarn"] {
        written.push(convert(&format!("{fixtures}/llama/{kind}"), kind, &["--max-shard-size", "4KB"])?);
    }
    // InternLM2 has no class in transformers: there and back.
    let internlm2 = convert(&format!("{fixtures}/llama/plain"), "internlm2", &["--family", "internlm2"])?;
    written.push(convert(&internlm2, "plain.from-internlm2", &["--family", "llama"])?);
    written.push(convert(&format!("{fixtures}/llama/plain"), "plain.glm", &["--family", "glm"])?);
    let check = format!("{fixtures}/families/check.py");
    let folders: Vec<&str> = written.iter().map(String::as_str).collect();
    run(root, python, &[&[check.as_str()][..], &folders].concat())
}
