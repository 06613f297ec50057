//! Whatever happens on the way, and whoever does the work, the same bytes come out.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tutelage_run::{Silent, StopFlag};
use tutelage_testkit::Scratch;

use super::*;

/// Drops every seventh document, and may fail, or ask to stop, at one.
struct Sieve {
    fails_at: Option<u64>,
    stops_at: Option<(u64, StopFlag)>,
    seen: AtomicU64,
}

impl Sieve {
    fn new() -> Self {
        Self { fails_at: None, stops_at: None, seen: AtomicU64::new(0) }
    }
}

impl DocumentStage for Sieve {
    type Worker = ();

    fn name(&self) -> &'static str {
        "sieve"
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn worker(&self) {}

    fn apply(&self, (): &mut (), record: &mut Record, at: At, tally: &mut Tally) -> Result<(), Reason> {
        self.seen.fetch_add(1, Ordering::Relaxed);
        assert_ne!(self.fails_at, Some(at.index), "as the test asked");
        if let Some((index, stop)) = &self.stops_at
            && at.index == *index
        {
            stop.raise();
        }
        tally.add("seen", 1);
        record.note("at", &at.index);
        if at.index % 7 == 3 { Err(Reason::Empty) } else { Ok(()) }
    }
}

/// Two files, one with damage, and a folder of texts.
fn inputs(folder: &Path) -> Vec<PathBuf> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for i in 0..21_000 {
        match i % 5000 {
            4999 => gz.write_all(b"{\"text\": damaged\n").unwrap(),
            _ => writeln!(gz, "{{\"id\":{i},\"text\":\"document {}\"}}", i * 7919).unwrap(),
        }
    }
    let (first, second, texts) = (folder.join("a.jsonl.gz"), folder.join("b.jsonl"), folder.join("texts"));
    std::fs::write(&first, gz.finish().unwrap()).unwrap();
    let lines: Vec<String> = (0..9000).map(|i| format!("{{\"text\":\"other {i}\",\"n\":{i}}}\n")).collect();
    std::fs::write(&second, lines.concat()).unwrap();
    std::fs::create_dir(&texts).unwrap();
    for i in 0..5 {
        std::fs::write(texts.join(format!("{i}.txt")), format!("text {i}")).unwrap();
    }
    vec![first, second, texts]
}

struct Trial<'a> {
    inputs: &'a [PathBuf],
    out: PathBuf,
    settings: JobSettings,
}

impl Trial<'_> {
    fn run(&self, sieve: &Sieve, threads: usize, shard: &str, stop: &StopFlag) -> Result<Outcome, CorpusError> {
        let job = Job {
            inputs: self.inputs,
            out: &self.out,
            shard: shard.parse().unwrap(),
            settings: &self.settings,
            threads,
            commit_every: Duration::ZERO,
        };
        job.run(sieve, &mut Silent, stop)
    }

    fn done(&self, threads: usize) -> Manifest {
        match self.run(&Sieve::new(), threads, "1/1", &StopFlag::default()).unwrap() {
            Outcome::Done(manifest) => *manifest,
            Outcome::Stopped => panic!("nobody asked to stop"),
        }
    }

    /// Every file of the output.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for folder in [self.out.clone(), self.out.join("dropped")] {
            for entry in std::fs::read_dir(&folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let name = path.strip_prefix(&self.out).unwrap().display().to_string();
                    files.insert(name, std::fs::read(&path).unwrap());
                }
            }
        }
        files
    }
}

fn trial<'a>(scratch: &Path, inputs: &'a [PathBuf], name: &str, compression: Compression) -> Trial<'a> {
    let settings = JobSettings { compression, keep_dropped: true, ..JobSettings::default() };
    Trial { inputs, out: scratch.join(name), settings }
}

#[test]
fn threads_do_not_change_a_byte() {
    let scratch = Scratch::new("corpus-threads");
    let inputs = inputs(&scratch);
    for compression in [Compression::None, Compression::Gz, Compression::Zst] {
        let one = trial(&scratch, &inputs, &format!("{compression:?}-1"), compression);
        let manifest = one.done(1);
        assert_eq!((manifest.read, manifest.dropped["not_json"]), (30_005, 4));
        assert_eq!(manifest.read, manifest.kept + manifest.dropped.values().sum::<u64>());
        assert_eq!(manifest.damaged[0].place, 5000);
        assert_eq!(manifest.counts["seen"], 30_001);
        for threads in [2, 9] {
            let many = trial(&scratch, &inputs, &format!("{compression:?}-{threads}"), compression);
            many.done(threads);
            assert!(one.files() == many.files(), "{compression:?}, {threads} threads");
        }
    }
}

#[test]
fn failures_and_stops_do_not_change_a_byte() {
    let scratch = Scratch::new("corpus-failures");
    let inputs = inputs(&scratch);
    let whole = trial(&scratch, &inputs, "whole", Compression::Zst);
    whole.done(2);
    let broken = trial(&scratch, &inputs, "broken", Compression::Zst);
    for (fails_at, threads) in [(0, 1), (6000, 3), (9000, 1), (15_000, 2), (20_998, 2)] {
        let sieve = Sieve { fails_at: Some(fails_at), ..Sieve::new() };
        let error = broken.run(&sieve, threads, "1/1", &StopFlag::default()).unwrap_err();
        assert!(error.to_string().contains("panic in documents"), "{error}");
    }
    // What was done before is not done again.
    let sieve = Sieve::new();
    let stop = StopFlag::default();
    broken.run(&sieve, 1, "1/1", &stop).unwrap();
    assert!(sieve.seen.into_inner() < 15_000);
    assert!(whole.files() == broken.files());

    let stopped = trial(&scratch, &inputs, "stopped", Compression::Zst);
    for stops_at in [100, 10_000, 17_000] {
        let stop = StopFlag::default();
        let sieve = Sieve { stops_at: Some((stops_at, stop.clone())), ..Sieve::new() };
        stopped.run(&sieve, 2, "1/1", &stop).unwrap();
    }
    stopped.done(2);
    assert!(whole.files() == stopped.files());
}

#[test]
fn shards_write_what_the_whole_writes() {
    let scratch = Scratch::new("corpus-shards");
    let inputs = inputs(&scratch);
    let whole = trial(&scratch, &inputs, "whole", Compression::Gz);
    let parts = trial(&scratch, &inputs, "parts", Compression::Gz);
    whole.done(2);
    for shard in ["2/2", "1/2"] {
        parts.run(&Sieve::new(), 2, shard, &StopFlag::default()).unwrap();
    }
    let unmerged = [parts.out.clone()];
    let next = trial(&scratch, &unmerged, "next", Compression::None);
    let error = next.run(&Sieve::new(), 1, "1/1", &StopFlag::default()).unwrap_err();
    assert!(error.is_request() && error.to_string().contains("data merge"), "{error}");
    let documents = |trial: &Trial<'_>| {
        let mut files = trial.files();
        files.retain(|name, _| !name.starts_with("manifest"));
        files
    };
    assert!(documents(&whole) == documents(&parts));
}

#[test]
fn another_job_in_the_folder_is_refused() {
    let scratch = Scratch::new("corpus-refused");
    let inputs = inputs(&scratch);
    let first = trial(&scratch, &inputs, "out", Compression::None);
    let stop = StopFlag::default();
    let sieve = Sieve { fails_at: Some(9000), ..Sieve::new() };
    first.run(&sieve, 1, "1/1", &stop).unwrap_err();
    // What it has written so far is not what it will have written.
    let so_far = [first.out.clone()];
    let error = trial(&scratch, &so_far, "next", Compression::None).run(&Sieve::new(), 1, "1/1", &stop).unwrap_err();
    assert!(error.is_request() && error.to_string().contains("not done"), "{error}");
    let refused = |trial: &Trial<'_>, found: &str| {
        let error = trial.run(&Sieve::new(), 1, "1/1", &stop).unwrap_err();
        assert!(error.is_request() && error.to_string().contains(found), "{error}");
    };
    let other = trial(&scratch, &inputs, "out", Compression::Gz);
    refused(&other, "compression = \"none\" (now \"gz\")");
    let fewer = Trial { inputs: &inputs[..1], ..trial(&scratch, &inputs, "out", Compression::None) };
    refused(&fewer, "other inputs");
    let manifest = first.done(1);
    refused(&other, "compression = \"none\" (now \"gz\")");
    assert_eq!(first.done(1), manifest);
    // An input that was written since.
    let time = std::time::SystemTime::now() + Duration::from_secs(5);
    std::fs::File::options().write(true).open(&inputs[0]).unwrap().set_modified(time).unwrap();
    refused(&first, "was written since");
}

#[test]
fn damaged_intermediates_are_found_out() {
    let scratch = Scratch::new("corpus-intermediates");
    let inputs = inputs(&scratch);
    let first = trial(&scratch, &inputs, "first", Compression::Gz);
    first.done(1);
    let of_first = vec![first.out.clone()];
    trial(&scratch, &of_first, "second", Compression::None).done(1);
    let path = first.out.join("00000-a.jsonl.gz");
    let whole = std::fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    for (bytes, found) in [(&damaged[..], "not what its manifest says"), (&whole[..whole.len() - 1], "cut or changed")]
    {
        std::fs::write(&path, bytes).unwrap();
        let again = trial(&scratch, &of_first, "third", Compression::None);
        let error = again.run(&Sieve::new(), 1, "1/1", &StopFlag::default()).unwrap_err();
        assert!(error.is_request() && error.to_string().contains(found), "{error}");
        assert!(!again.out.join("manifest.json").exists());
    }
}

#[test]
fn filters_that_never_fire_are_named() {
    let scratch = Scratch::new("never-fired");
    let inputs = [scratch.join("a.jsonl")];
    let lines = |n: usize| -> String {
        (0..n).map(|i| format!("{{\"text\":\"The road number {i} leads to the town {i}.\"}}\n")).collect()
    };
    let settings = JobSettings::default();
    // With what is said where nothing fires, and with a line that fires it.
    let try_all = |stage: &str, carry_out: &dyn Fn(&Job<'_>) -> Outcome, silent: &str, fires: &str| {
        let run = |name: &str, lines: &str| {
            std::fs::write(&inputs[0], lines).unwrap();
            let out = scratch.join(format!("{stage}-{name}"));
            let commit_every = Duration::ZERO;
            let job =
                Job { inputs: &inputs, out: &out, shard: ShardOf::ALL, settings: &settings, threads: 1, commit_every };
            let Outcome::Done(manifest) = carry_out(&job) else { panic!("nobody asked to stop") };
            manifest.warnings
        };
        let warnings = run("silent", &lines(150));
        let expected = format!("never fired among 150 documents: {silent};");
        assert!(warnings.len() == 1 && warnings[0].starts_with(&expected), "{stage}: {warnings:?}");
        assert_eq!(run("fires", &(lines(150) + fires)), [""; 0], "{stage}");
        // Too few to expect any.
        assert_eq!(run("few", &lines(50)), [""; 0], "{stage}");
    };
    let stop = StopFlag::default();
    let rules: crate::RulesSettings =
        serde_json::from_value(serde_json::json!({"preset": "slimpajama", "slimpajama": {"min_chars": 20}})).unwrap();
    let rules = crate::Rules::new(rules).unwrap();
    try_all("rules", &|job| job.run(&rules, &mut Silent, &stop).unwrap(), "slimpajama", "{\"text\":\"short\"}\n");
    // Lines that are cut count, though no document is dropped.
    let rules: crate::RulesSettings =
        serde_json::from_value(serde_json::json!({"order": ["c4"], "c4": {"min_sentences": 0}})).unwrap();
    let rules = crate::Rules::new(rules).unwrap();
    let fires = "{\"text\":\"A line that is long enough to stay.\\nshort\"}\n";
    try_all("lines", &|job| job.run(&rules, &mut Silent, &stop).unwrap(), "c4", fires);
    let mask = vec![crate::Personal::Email, crate::Personal::Ip];
    let safety = crate::Safety::new(crate::SafetySettings { mask, ..crate::SafetySettings::default() }).unwrap();
    let fires = "{\"text\":\"to a@example.org from 8.8.8.8\"}\n";
    try_all("safety", &|job| job.run(&safety, &mut Silent, &stop).unwrap(), "masked_email, masked_ip", fires);
    let copies = crate::DedupSettings {
        method: crate::DedupMethod::Exact,
        keep: crate::Keep::First,
        ..crate::DedupSettings::default()
    };
    let fires = lines(1);
    try_all("dedup", &|job| crate::dedup(job, &copies, &mut Silent, &stop).unwrap(), "copies", &fires);
    let languages = crate::FormatSettings { languages: vec!["en".to_owned()], ..crate::FormatSettings::default() };
    let fires =
        "{\"text\":\"Das ist ein Satz, den niemand f\u{fc}r einen englischen halten kann, auch wenn er lang ist.\"}\n";
    try_all("format", &|job| crate::format(job, &languages, &mut Silent, &stop).unwrap(), "languages", fires);
}
