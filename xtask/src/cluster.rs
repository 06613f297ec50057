//! Copies found on an engine and on a cluster: too long a build for every check.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Builds with the feature, compares plans with the embedded path, and runs `tests/cluster/run.sh`.
pub(crate) fn cluster(root: &Path) -> Result<()> {
    let target = root.join("target/cluster");
    // The engine's own speed is not what is tried.
    let env = [
        ("CARGO_PROFILE_RELEASE_LTO", "off"),
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
        ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ];
    let cargo = |args: &[&str]| {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(args).envs(env).env("CARGO_TARGET_DIR", &target).current_dir(root);
        run(command)
    };
    // One choice of packages and features, so that the engine is built once.
    let both =
        ["--release", "--package", "tutelage-cluster", "--package", "tutelage", "--features", "tutelage/cluster"];
    cargo(&[&["clippy"][..], &both, &["--all-targets", "--", "-D", "warnings"]].concat())?;
    cargo(&[&["test"][..], &both, &["--lib"]].concat())?;
    cargo(&[&["build"][..], &both].concat())?;
    let mut script = Command::new(root.join("tests/cluster/run.sh"));
    script.arg(target.join("release/tutelage")).current_dir(root);
    run(script)
}

fn run(mut command: Command) -> Result<()> {
    println!("+ {command:?}");
    let status = command.status().with_context(|| format!("{command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed");
    }
    Ok(())
}
