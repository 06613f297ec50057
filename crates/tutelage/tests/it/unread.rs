//! Readers that go away: of the output (`| head`), which is no failure, and of what is said meanwhile, which ends no run.

use std::process::{Output, Stdio};

use crate::support::Bench;

/// Runs a command whose two streams are read (`true`), or closed before it writes.
fn closed(bench: &Bench, args: &[&str], reads_output: bool, reads_errors: bool) -> Output {
    let mut child = bench.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if !reads_output {
        drop(child.stdout.take());
    }
    if !reads_errors {
        drop(child.stderr.take());
    }
    child.wait_with_output().unwrap()
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let bench = Bench::new("unread-output");
    bench.succeed(&["data", "read", "text.jsonl", "--out", "read"]);
    std::fs::write(bench.path("web.toml"), "name = \"web\"\ninputs = [\"text.jsonl\"]\n[[stages]]\nname = \"read\"\n")
        .unwrap();
    for args in [
        &["data", "sample", "read"][..],
        &["data", "stats", "read", "--json"],
        &["data", "read", "text.jsonl", "--out", "again"],
        &["plan", "tiny.toml"],
        &["run", "web.toml", "--out", "web"],
        &["report", "read"],
    ] {
        let output = closed(&bench, args, false, true);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("error"), "{args:?}: {said}");
    }
    // What was to be written is there all the same.
    assert!(bench.path("again/manifest.json").exists() && bench.path("web/report.html").exists());
}

#[test]
fn a_run_goes_on_when_nobody_listens() {
    let bench = Bench::new("unread-errors");
    let output = closed(&bench, &["run", "tiny.toml", "--out", "run"], true, false);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("live") && bench.path("run/report.html").exists());
    let output = closed(&bench, &["run", "nothing.toml"], true, false);
    assert_eq!(output.status.code(), Some(2));
}
