//! Killed, interrupted, or met by a second process.

use std::time::Duration;

use tutelage_run::RunLock;

use crate::support::{Bench, lasting_files};

#[test]
fn a_run_killed_again_and_again_ends_with_the_same_bytes() {
    let bench = Bench::new("killed");
    bench.succeed(&["run", "tiny.toml", "--out", "whole"]);
    bench.run_killed("parts");
    let (whole, parts) = (lasting_files(&bench.path("whole")), lasting_files(&bench.path("parts")));
    let names = |files: &[(std::path::PathBuf, Vec<u8>)]| files.iter().map(|f| f.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&whole), names(&parts));
    for ((name, a), (_, b)) in whole.iter().zip(&parts) {
        assert!(a == b, "{} differs", name.display());
    }
    bench.succeed(&["inspect", "parts"]);
}

#[cfg(unix)]
#[test]
fn a_request_to_stop_saves_and_says_how_to_go_on() {
    let bench = Bench::new("stopped");
    let long = ["run", "tiny.toml", "--out", "run", "--set", "training.all.steps=100000"];
    let mut command = bench.command(&long);
    let child = command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let metrics = bench.path("run/models/teacher/metrics.jsonl");
    while std::fs::read_to_string(&metrics).unwrap_or_default().lines().count() < 2 {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::process::Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("the same command goes on"), "{log}");
    assert!(std::fs::read_dir(bench.path("run/models/teacher/checkpoints")).unwrap().count() > 0);
}

#[test]
fn a_folder_in_use_is_refused() {
    let bench = Bench::new("lock");
    std::fs::create_dir(bench.path("busy")).unwrap();
    let lock = RunLock::acquire(&bench.path("busy")).unwrap();
    let error = bench.refuse(&["run", "tiny.toml", "--out", "busy"]);
    assert!(error.contains("in use") && error.contains(&std::process::id().to_string()), "{error}");
    drop(lock);
    bench.succeed(&["run", "tiny.toml", "--out", "busy"]);
}
