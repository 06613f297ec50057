//! `tutelage data`: the stages one after the other, killed, and asked for what cannot be.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::Bench;

/// A crawl of pages, as WARC: `n` of them, of which every fifth is a copy of the one before.
fn crawl(n: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for i in 0..n {
        let topic = i - usize::from(i % 5 == 4);
        let mut text = String::new();
        for line in 0..8 {
            let number = topic * 31 + line;
            write!(
                text,
                "<p>The road of number {number} goes over the bridge to the town of {}, and those who live there have \
                 said that it was built with the stones of the old wall of {}.</p>",
                number * 7919 % 9973,
                number * 104_729 % 7907
            )
            .unwrap();
        }
        let html = format!(
            "<html><head><title>{i}</title></head><body><nav>Home</nav><article>{text}</article></body></html>"
        );
        let http = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{html}");
        let head = format!(
            "WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:{i}>\r\nWARC-Date: 2024-05-01T00:00:{:02}Z\r\n\
             WARC-Target-URI: http://site{i}.example.com/\r\nContent-Type: application/http; msgtype=response\r\n\
             Content-Length: {}\r\n\r\n",
            i % 60,
            http.len()
        );
        out.extend_from_slice(format!("{head}{http}\r\n\r\n").as_bytes());
    }
    out
}

fn manifest(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap()
}

#[test]
fn pages_become_clean_documents_stage_by_stage() {
    let bench = Bench::new("data");
    std::fs::write(bench.path("crawl.warc"), crawl(40)).unwrap();
    std::fs::write(bench.path("domains.txt"), "site7.example.com\n").unwrap();
    bench.succeed(&["data", "read", "crawl.warc", "--out", "read", "--set", "compression=zst"]);
    bench.succeed(&["data", "format", "read", "--out", "format", "--set", "exact_duplicates=false"]);
    bench.succeed(&["data", "rules", "format", "--out", "rules", "--set", "preset=c4", "--set", "keep_dropped=true"]);
    bench.succeed(&["data", "dedup", "rules", "--out", "dedup"]);
    let safety = ["data", "safety", "dedup", "--out", "safe", "--set", "blocked_domains=[\"domains.txt\"]", "--json"];
    let last: Value = serde_json::from_str(&bench.succeed(&safety)).unwrap();
    assert_eq!((&last["read"], &last["kept"], &last["dropped"]["blocked_domain"]), (&32.into(), &31.into(), &1.into()));
    assert_eq!(manifest(&bench.path("dedup"))["dropped"]["near_duplicate"], 8);
    for stage in ["read", "format", "rules", "dedup", "safe"] {
        let manifest = manifest(&bench.path(stage));
        let dropped: u64 = manifest["dropped"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(manifest["read"].as_u64().unwrap(), manifest["kept"].as_u64().unwrap() + dropped, "{stage}");
    }
    // The newest of two copies is kept.
    let kept = std::fs::read_to_string(bench.path("dedup").join("00000-crawl.jsonl")).unwrap();
    assert!(kept.contains("\"id\":\"4\"") && !kept.contains("\"id\":\"3\""));
    // Again: all is done.
    assert!(String::from_utf8(bench.tutelage(&safety).stderr).unwrap().contains("done before"));

    assert!(bench.succeed(&["data", "stats", "safe"]).contains("language          31  en"));
    assert_eq!(bench.succeed(&["data", "sample", "safe", "-n", "2", "--json"]).lines().count(), 2);
    let diff = bench.succeed(&["data", "diff", "rules", "dedup"]);
    assert!(diff.contains("32 the same, 0 changed, 8 dropped"), "{diff}");
}

#[test]
fn whatever_kills_it_the_same_bytes_come_out() {
    let bench = Bench::new("data-killed");
    let lines: Vec<String> = (0..30_000)
        .map(|i| format!("{{\"text\":\"{}\"}}", format!("the word {} and that of {} ", i * 7919 % 1009, i).repeat(12)))
        .collect();
    std::fs::write(bench.path("text.jsonl"), lines.join("\n")).unwrap();
    let rules = |out: &str| {
        let set = ["--set", "preset=gopher", "--set", "keep_dropped=true", "--set", "compression=gz"];
        [&["data", "rules", "text.jsonl", "--out", out][..], &set]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    fn of(args: &[String]) -> Vec<&str> {
        args.iter().map(String::as_str).collect()
    }
    bench.succeed(&of(&rules("whole")));
    let killed = rules("killed");
    for wait in [30, 150, 400, 700] {
        let mut child = bench.quiet(&of(&killed)).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        let _ = child.kill();
        child.wait().unwrap();
    }
    bench.succeed(&of(&killed));
    for file in ["manifest.json", "00000-text.jsonl.gz", "dropped/00000-text.jsonl.gz"] {
        let [whole, killed] = ["whole", "killed"].map(|out| std::fs::read(bench.path(out).join(file)).unwrap());
        assert!(whole == killed, "{file}");
    }
    assert!(!bench.path("killed/.work").exists());
}

#[test]
fn wrong_requests_are_refused() {
    let bench = Bench::new("data-wrong");
    std::fs::write(bench.path("a.jsonl"), "{\"text\":\"a\"}\n").unwrap();
    std::fs::write(bench.path("a.csv"), "text\na\n").unwrap();
    std::fs::create_dir(bench.path("empty")).unwrap();
    let refuse = |stage: &str, input: &str, more: &[&str], found: &str| {
        let error = bench.refuse(&[&["data", stage, input, "--out", "out"][..], more].concat());
        assert!(error.contains(found), "{error}");
    };
    refuse("read", "missing.jsonl", &[], "missing.jsonl");
    refuse("read", "a.csv", &[], "no kind of file");
    refuse("read", "empty", &[], "nothing to read");
    refuse("read", "a.jsonl", &["--set", "colour=red"], "it has text_field");
    refuse("read", "a.jsonl", &["--set", "compression=rar"], "rar");
    refuse("read", "a.jsonl", &["--shard", "3/2"], "3/2");
    refuse("rules", "a.jsonl", &["--set", "preset=best"], "best");
    refuse("rules", "a.jsonl", &["--set", "c4.min_sentence=3"], "min_sentence");
    refuse("dedup", "a.jsonl", &["--set", "threshold=7"], "threshold");
    refuse("dedup", "a.jsonl", &["--shard", "1/2"], "reads all of them");
    refuse("safety", "a.jsonl", &[], "nothing to do");
    assert!(bench.refuse(&["data", "merge", "empty"]).contains("manifest.json"));
    // What is there was made with other settings.
    bench.succeed(&["data", "read", "a.jsonl", "--out", "out"]);
    refuse("read", "a.jsonl", &["--set", "keep_dropped=true"], "keep_dropped = false (now true)");
    refuse("rules", "a.jsonl", &[], "the stage 'read'");
    // An empty output is no error, and is said loudly.
    let output = bench.tutelage(&["data", "rules", "a.jsonl", "--out", "none"]);
    assert!(output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("warning: nothing was kept"));
}

#[test]
fn a_recipe_trains_on_what_a_stage_has_left() {
    let bench = Bench::new("stage-trained");
    let runs = "[[runs]]\nname = \"text\"\nmodel = \"small\"\ntraining = \"all\"\n";
    bench.students_alone(&[], runs);
    bench.succeed(&["run", "tiny.toml", "--out", "file"]);
    bench.succeed(&["data", "read", "text.jsonl", "--out", "clean", "--set", "compression=zst"]);
    bench.edit("tiny.toml", "\"text.jsonl\"", "\"clean\"");
    bench.succeed(&["run", "tiny.toml", "--out", "stage"]);
    let shard = |run: &str| std::fs::read(bench.path(run).join("shards/train.bin")).unwrap();
    assert!(shard("file") == shard("stage") && !shard("file").is_empty());
    // Tokens are no documents.
    bench.succeed(&["data", "tokenize", "text.jsonl", "--out", "tokens", "--set", "tokenizer=file/tokenizer"]);
    bench.edit("tiny.toml", "\"clean\"", "\"tokens\"");
    assert!(bench.refuse(&["run", "tiny.toml"]).contains("leaves no documents"));
}
