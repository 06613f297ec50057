//! Copies found on an engine and on a cluster: too long a build for every check.

use std::path::Path;

use anyhow::Result;

use crate::fixtures::run;

/// Builds with the feature, compares plans with the embedded path, and runs `tests/cluster/run.sh`.
pub(crate) fn cluster(root: &Path) -> Result<()> {
    let target = root.join("target/cluster").display().to_string();
    // The engine's own speed is not what is tried.
    let env = [
        ("CARGO_PROFILE_RELEASE_LTO", "off"),
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
        ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
        ("CARGO_TARGET_DIR", &target),
    ];
    let cargo = |args: &[&str]| crate::cargo(root, args, &env);
    // One choice of packages and features, so that the engine is built once.
    let both =
        ["--release", "--package", "tutelage-cluster", "--package", "tutelage", "--features", "tutelage/cluster"];
    cargo(&[&["clippy"][..], &both, &["--all-targets", "--", "-D", "warnings"]].concat())?;
    cargo(&[&["test"][..], &both, &["--lib"]].concat())?;
    cargo(&[&["build"][..], &both].concat())?;
    let script = root.join("tests/cluster/run.sh").display().to_string();
    run(root, &script, &[&format!("{target}/release/tutelage")])
}
