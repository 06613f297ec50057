//! Rules of the house that the compiler does not know.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

const MAX_LINES: usize = 400;

/// A text that may stand in some places only.
struct Rule {
    text: &'static str,
    allowed: &'static [&'static str],
    why: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        text: "unsafe ",
        allowed: &["crates/tutelage-tensor/", "crates/tutelage-run/src/mapped.rs"],
        why: "unsafe belongs to the engine and the memory map",
    },
    Rule { text: "env::var", allowed: &["crates/tutelage/", "xtask/"], why: "only the binary reads the environment" },
    Rule { text: "println!", allowed: &["crates/tutelage/", "xtask/"], why: "only the binary prints" },
    Rule { text: "process::exit", allowed: &["crates/tutelage/"], why: "only the binary exits" },
    Rule { text: concat!("TO", "DO"), allowed: &[], why: "finish it, or write an issue" },
    Rule { text: concat!("FIX", "ME"), allowed: &[], why: "finish it, or write an issue" },
    Rule { text: concat!("unimplemented", "!("), allowed: &[], why: "no stubs" },
    Rule { text: "static mut", allowed: &[], why: "libraries hold no process-global state" },
];

/// Reads every Rust file of the workspace.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut files = Vec::new();
    rust_files(&root.join("crates"), &mut files)?;
    rust_files(&root.join("xtask"), &mut files)?;
    files.sort();
    let mut faults = Vec::new();
    for file in &files {
        let name = file.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
        faults.extend(faults_of(&name, &std::fs::read_to_string(file)?));
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    println!("tidy: {} files", files.len());
    Ok(())
}

fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, out)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
    Ok(())
}

fn faults_of(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(format!("{name}: does not say first what it is for (//!)"));
    }
    // Tables are made by scripts, not read.
    let is_made = text.lines().next().is_some_and(|line| line.contains("made by `"));
    if text.lines().count() > MAX_LINES && !is_made {
        faults.push(format!("{name}: over {MAX_LINES} lines; one idea per file"));
    }
    if name == "xtask/src/tidy.rs" {
        return faults;
    }
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for rule in RULES {
            if line.contains(rule.text) && !rule.allowed.iter().any(|place| name.starts_with(place)) {
                faults.push(format!("{name}:{}: '{}': {}", number + 1, rule.text.trim(), rule.why));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::faults_of;

    #[test]
    fn each_rule_finds_its_fault() {
        let faults = |line: &str| faults_of("crates/tutelage-data/src/a.rs", &format!("//! A.\n{line}\n")).len();
        assert_eq!(faults("fn f() {}"), 0);
        assert_eq!(faults("println!(\"x\");"), 1);
        assert_eq!(faults("let x = unsafe { y };"), 1);
        assert_eq!(faults("std::env::var(\"X\")"), 1);
        assert_eq!(faults_of("crates/a.rs", "fn f() {}\n").len(), 1);
    }
}
