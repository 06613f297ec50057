//! The project's own checks: `cargo xtask check` is what CI runs.

mod clients;
mod cluster;
mod deps;
mod fixtures;
mod load;
mod models;
mod server;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  check   format, dependency directions, tidy, clippy, documentation, tests
  deps    dependency directions against xtask/layers.toml
  tidy    rules of the house that the compiler does not know
  models  write docs/models.md, the table of families and checks
  clients [NAME...]
          other people's clients against our server (tests/clients/*.py), all or those named
  cluster copies found on DataFusion and on a Ballista cluster of this machine, one of whose executors is killed (a long build)
  load [TRICK...] [--pause=SECONDS]
          what well-behaved clients get from the server while a thousand others misbehave, each so long after its last
          trick [default: 20]
  server URL
          another's server, which serves models/smollm2, teaches as the model itself (tests/servers/teacher.toml)
  fixtures [PYTHON] [--check]
          make all fixtures again by this Python (with torch, transformers, peft, gguf; see the scripts), then have
          transformers load what tutelage wrote; with --check the latter alone
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let (flags, names): (Vec<_>, Vec<_>) = args.partition(|arg| arg.starts_with("--"));
    let python = names.first().map_or("python3", String::as_str);
    let only_check = flags.iter().any(|flag| flag == "--check");
    let pause = flags.iter().find_map(|flag| flag.strip_prefix("--pause=")?.parse().ok()).unwrap_or(20);
    let pause = std::time::Duration::from_secs(pause);
    let root = root();
    let result = match command.as_str() {
        "check" => check(&root),
        "deps" => deps::check(&root),
        "tidy" => tidy::check(&root),
        "models" => models::models(&root, only_check),
        "cluster" => cluster::cluster(&root),
        "clients" => clients::clients(&root, &names),
        "load" => load::load(&root, &names, pause),
        "server" => server::server(&root, names.first().map_or("http://127.0.0.1:8000/v1", String::as_str)),
        "fixtures" => fixtures::fixtures(&root, python, only_check),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {command}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check(root: &Path) -> Result<()> {
    cargo(root, &["fmt", "--all", "--check"], &[])?;
    deps::check(root)?;
    tidy::check(root)?;
    models::models(root, true)?;
    cargo(root, &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"], &[])?;
    cargo(root, &["doc", "--workspace", "--no-deps", "--quiet"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    cargo(root, &["test", "--workspace"], &[])?;
    // What needs a feature, which the program is built without otherwise.
    let packages = ["tutelage-run", "tutelage-corpus", "tutelage-teacher", "tutelage"];
    let packages = packages.into_iter().flat_map(|name| ["--package", name]);
    let parquet: Vec<&str> = packages.chain(["--features", "parquet"]).collect();
    cargo(root, &[&["clippy", "--all-targets", "--quiet"][..], &parquet, &["--", "-D", "warnings"]].concat(), &[])?;
    cargo(root, &[&["test"][..], &parquet, &["--", "capture", "parquet"]].concat(), &[])
}

fn cargo(root: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<()> {
    println!("+ cargo {}", args.join(" "));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(args)
        .envs(env.iter().copied())
        .current_dir(root)
        .status()
        .with_context(|| format!("cargo {}", args.join(" ")))?;
    if !status.success() {
        bail!("cargo {} failed", args.join(" "));
    }
    Ok(())
}

fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}
