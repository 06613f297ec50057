//! Files that are too large for the repository.

use std::io::Write;
use std::path::{Path, PathBuf};

/// The GGUF file of SmolLM2-135M-Instruct that `scripts/smollm2.sh` gets; says so where it is not there.
pub fn smollm2() -> Option<PathBuf> {
    external("SmolLM2-135M-Instruct.Q4_1.gguf", "scripts/smollm2.sh")
}

/// The folder of vocabularies (GGUF) with golden cases that `scripts/vocabularies.sh` gets; says so where it is not there.
pub fn vocabularies() -> Option<PathBuf> {
    external("vocabularies", "scripts/vocabularies.sh")
}

fn external(name: &str, script: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/external").join(name);
    if path.exists() {
        return Some(path);
    }
    // Past the capture of tests' output: one that is passed over must not look like one that ran.
    let _ = writeln!(std::io::stderr(), "SKIPPED: no {}; run {script}", path.display());
    None
}
