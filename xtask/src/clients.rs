//! Other people's clients against our server: `tests/clients/*.py`, each in a virtual environment of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// The model that is served, made by `scripts/smollm2.sh`.
pub(crate) const MODEL: &str = "target/external/SmolLM2-135M-Instruct.Q4_1.gguf";

/// What a script exits with that lacks something of the system, which it has named.
const LACKS: i32 = 77;

/// Runs the scripts of these names, or all. One whose packages cannot be had is skipped, loudly.
pub(crate) fn clients(root: &Path, names: &[String]) -> Result<()> {
    if !root.join(MODEL).exists() {
        println!("SKIPPED: clients of the server: {MODEL} is not there; scripts/smollm2.sh gets it");
        return Ok(());
    }
    let folder = root.join("tests/clients");
    let scripts = match names {
        [] => all(&folder)?,
        names => names.iter().map(|name| folder.join(format!("{name}.py"))).collect(),
    };
    super::cargo(root, &["build", "--release", "--quiet"], &[])?;
    for script in scripts {
        let python = match environment(root, &script) {
            Ok(python) => python,
            Err(error) => {
                println!("SKIPPED: {}: {error:#}", script.display());
                continue;
            }
        };
        // As exact as what it is compared with.
        let flags = format!("--dtype f32 {}", line_of(&script, "serve: ")?);
        let server = Server::start(root, &flags)?;
        let status = Command::new(&python)
            .arg(&script)
            .env("TUTELAGE_URL", &server.url)
            .env("TUTELAGE_MODEL", root.join(MODEL))
            .env("TUTELAGE", root.join("target/release/tutelage"))
            .current_dir(root)
            .status()?;
        match status.code() {
            Some(0) => {}
            Some(LACKS) => println!("SKIPPED: {}", script.display()),
            _ => bail!("{} failed", script.display()),
        }
    }
    Ok(())
}

fn all(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut out: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    out.retain(|path| path.extension().is_some_and(|extension| extension == "py"));
    out.sort();
    Ok(out)
}

/// What a script says of itself after a word, in its beginning.
fn line_of(script: &Path, word: &str) -> Result<String> {
    let text = std::fs::read_to_string(script).with_context(|| script.display().to_string())?;
    Ok(text.lines().find_map(|line| line.trim().strip_prefix(word)).unwrap_or_default().to_owned())
}

/// A Python with what the script's `needs:` line lists.
fn environment(root: &Path, script: &Path) -> Result<PathBuf> {
    let needs = line_of(script, "needs: ")?;
    let name = script.file_stem().unwrap_or_default();
    let folder = root.join("target/clients").join(name);
    let (python, done) = (folder.join("bin/python"), folder.join("needs"));
    if std::fs::read_to_string(&done).is_ok_and(|had| had == needs) {
        return Ok(python);
    }
    let run = |command: &mut Command, what: &str| match command.status() {
        Ok(status) if status.success() => Ok(()),
        _ => bail!("{what} failed"),
    };
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder), "python3 -m venv")?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(Command::new(&python).args(pip).args(needs.split_whitespace()), "pip install")?;
    std::fs::write(&done, &needs)?;
    Ok(python)
}

/// A server on a free port; ends with this value.
pub(crate) struct Server {
    process: Child,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(root: &Path, flags: &str) -> Result<Self> {
        let model = format!("smollm2={}", root.join(MODEL).display());
        let mut process = Command::new(root.join("target/release/tutelage"))
            .args(["serve", &model, "--port", "0", "--quiet"])
            .args(flags.split_whitespace())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the server")?;
        let errors = process.stderr.take().context("the server's output")?;
        let mut said = String::new();
        for line in BufReader::new(errors).lines() {
            let line = line?;
            if let Some((_, rest)) = line.split_once(" at ")
                && let Some(url) = rest.split(' ').next()
            {
                return Ok(Self { process, url: url.to_owned() });
            }
            said.push_str(&line);
        }
        bail!("the server did not begin: {said}")
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which its client has noticed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
