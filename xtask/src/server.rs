//! Other people's servers as teachers: `cargo xtask server URL`, about one that runs already (`tests/servers/teacher.toml` says how).

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// How far the distance to the teacher may be from that to the model itself, as a share of it: servers compute in few bits.
const TOLERANCE: f64 = 2e-3;

/// Has the server teach, live and through a cache, beside the model that it serves, and compares what is learned from.
pub(crate) fn server(root: &Path, url: &str) -> Result<()> {
    ensure!(
        root.join("models/smollm2").exists(),
        "models/smollm2 is not there: README says how a GGUF file becomes a folder"
    );
    super::cargo(root, &["build", "--release", "--quiet"], &[])?;
    let out = root.join("target/server");
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    let status = Command::new(root.join("target/release/tutelage"))
        .args(["run", "tests/servers/teacher.toml", "--set", &format!("servers.other.url={url}"), "--out"])
        .arg(&out)
        .current_dir(root)
        .status()?;
    ensure!(status.success(), "tutelage run failed");
    let computed = distances(&out, "computed")?;
    for name in ["told", "live"] {
        let found = distances(&out, name)?;
        ensure!(found.len() == computed.len(), "{name}: {} steps, and computed {}", found.len(), computed.len());
        let off = found.iter().zip(&computed).map(|(a, b)| ((a - b) / b).abs()).fold(0.0, f64::max);
        println!("{name}: distances at most {:.4} % from those to the model itself", 100.0 * off);
        if off > TOLERANCE {
            bail!("{name}: the server is not the model that it serves");
        }
    }
    Ok(())
}

fn distances(out: &Path, name: &str) -> Result<Vec<f64>> {
    let path = out.join("models").join(name).join("metrics.jsonl");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let of_line = |line| serde_json::from_str::<Value>(line)?["kd_loss"].as_f64().context("no kd_loss");
    text.lines().map(of_line).collect()
}
