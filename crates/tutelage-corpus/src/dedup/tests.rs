//! Copies are found as often as the curve says, and which of them is kept does not depend on who looked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tutelage_run::Silent;
use tutelage_testkit::Scratch;

use super::*;

struct Trial {
    scratch: Scratch,
    inputs: Vec<PathBuf>,
}

impl Trial {
    /// Files of documents.
    fn new(name: &str, files: &[Vec<Value>]) -> Self {
        let scratch = Scratch::new(name);
        let inputs = files.iter().enumerate().map(|(i, documents)| {
            let path = scratch.join(format!("{i}.jsonl"));
            let lines: Vec<String> = documents.iter().map(|document| format!("{document}\n")).collect();
            std::fs::write(&path, lines.concat()).unwrap();
            path
        });
        let inputs = inputs.collect();
        Self { scratch, inputs }
    }

    fn run(&self, out: &str, settings: Value, threads: usize) -> (Manifest, Vec<Value>) {
        let settings: DedupSettings = serde_json::from_value(settings).unwrap();
        let out = self.scratch.join(out);
        let job_settings = JobSettings { keep_dropped: true, ..JobSettings::default() };
        let job = Job {
            inputs: &self.inputs,
            out: &out,
            shard: ShardOf::ALL,
            settings: &job_settings,
            threads,
            commit_every: Duration::ZERO,
        };
        let outcome = dedup(&job, &settings, &mut Silent, &StopFlag::default()).unwrap();
        let Outcome::Done(manifest) = outcome else { panic!("nobody asked to stop") };
        assert!(!out.join(".dedup").exists());
        let read = |folder: &std::path::Path| -> Vec<Value> {
            let files =
                manifest.outputs.iter().map(|output| std::fs::read_to_string(folder.join(&output.file)).unwrap());
            files
                .flat_map(|text| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>())
                .collect()
        };
        let mut documents = read(&out);
        documents.extend(read(&out.join("dropped")));
        (*manifest, documents)
    }

    /// Ids of what is kept.
    fn kept(&self, out: &str, settings: Value, threads: usize) -> Vec<String> {
        let (_, documents) = self.run(out, settings, threads);
        let kept = documents.iter().filter(|document| document.get("dropped").is_none());
        kept.map(|document| document["id"].as_str().unwrap().to_owned()).collect()
    }
}

/// Words that stand nowhere else.
fn words(random: &mut tutelage_run::RandomStream, n: usize) -> Vec<String> {
    (0..n).map(|_| format!("w{}", random.below(1 << 50))).collect()
}

#[test]
fn copies_are_found_as_often_as_the_curve_says() {
    const PAIRS: usize = 400;
    const WORDS: usize = 104;
    let cut = DedupSettings::default().resolved_bands().unwrap();
    let mut random = tutelage_run::RandomStream::new(9, "pairs");
    let (mut documents, mut similarities) = (Vec::new(), Vec::new());
    // Of 100 runs of five words, so many are the same.
    for shared in [50, 66, 75, 80, 85, 90, 96] {
        similarities.push(shared as f64 / (200 - shared) as f64);
        for _ in 0..PAIRS {
            let one = words(&mut random, WORDS);
            let mut other = one[..shared + 4].to_vec();
            other.extend(words(&mut random, WORDS - shared - 4));
            for text in [one, other] {
                documents.push(json!({ "id": documents.len().to_string(), "text": text.join(" ") }));
            }
        }
    }
    let trial = Trial::new("dedup-curve", &[documents]);
    let mut found = BTreeMap::new();
    for document in trial.run("out", json!({"keep": "first"}), 2).1 {
        if document.get("dropped").is_some() {
            let place: usize = document["id"].as_str().unwrap().parse().unwrap();
            // The copy of the one before it, and of nothing else.
            assert_eq!(document["duplicate_of"]["document"], place);
            *found.entry(place / (2 * PAIRS)).or_insert(0) += 1;
        }
    }
    for (i, &similarity) in similarities.iter().enumerate() {
        let (expected, n) = (cut.probability(similarity), PAIRS as f64);
        let share = f64::from(*found.get(&i).unwrap_or(&0)) / n;
        let deviation = (expected * (1.0 - expected) / n).sqrt();
        assert!((share - expected).abs() <= 4.0 * deviation + 1e-9, "{similarity:.2}: {share} beside {expected:.3}");
    }
}

#[test]
fn which_copy_is_kept_is_a_setting() {
    let text = "one two three four five six seven eight nine ten eleven twelve";
    let files = [
        vec![
            json!({"id": "a", "text": text, "date": "2023-05-01"}),
            json!({"id": "b", "text": format!("{text}!"), "meta": {"date": "2024-05-01T00:00:00Z"}}),
        ],
        vec![
            json!({"id": "c", "text": format!("{text} ...  "), "date": "2023-12-31"}),
            json!({"id": "d", "text": "something else that nobody else has ever said before"}),
            json!({"id": "e", "text": "..."}),
            json!({"id": "f", "text": text}),
        ],
    ];
    let trial = Trial::new("dedup-keep", &files);
    // What has no words is no copy, and no document either.
    assert_eq!(trial.kept("newest", json!({}), 1), ["b", "d", "e"]);
    assert_eq!(trial.kept("first", json!({"keep": "first"}), 1), ["a", "d", "e"]);
    assert_eq!(trial.kept("longest", json!({"keep": "longest"}), 1), ["c", "d", "e"]);
    assert_eq!(trial.kept("exact", json!({"method": "exact", "keep": "first"}), 1), ["a", "b", "c", "d", "e"]);
    let (manifest, documents) = trial.run("noted", json!({"note_copies": true}), 1);
    assert_eq!((manifest.read, manifest.kept, manifest.dropped["near_duplicate"]), (6, 3, 3));
    let kept = documents.iter().find(|document| document["id"] == "b").unwrap();
    assert_eq!(kept["meta"]["copies"], 4);
    let dropped = documents.iter().find(|document| document["id"] == "f").unwrap();
    assert_eq!(dropped["duplicate_of"]["document"], 2);
    assert!(dropped["duplicate_of"]["file"].as_str().unwrap().ends_with("0.jsonl"));
}

/// Documents, of which each has a few others that are like it.
fn families(n: usize) -> Vec<Value> {
    let mut random = tutelage_run::RandomStream::new(4, "families");
    let mut documents: Vec<Vec<String>> = Vec::new();
    for i in 0..n {
        if i % 3 > 0 {
            let mut like = documents[random.below(documents.len() as u64) as usize].clone();
            let at = random.below(like.len() as u64) as usize;
            like[at] = format!("changed{i}");
            documents.push(like);
        } else {
            documents.push(words(&mut random, 60));
        }
    }
    let line = |(i, words): (usize, &Vec<String>)| json!({"id": i.to_string(), "text": words.join(" "), "date": i * 7919 % 1000});
    documents.iter().enumerate().map(line).collect()
}

#[test]
fn threads_memory_and_files_do_not_change_what_is_kept() {
    let documents = families(900);
    let trial = Trial::new("dedup-whole", std::slice::from_ref(&documents));
    let kept = trial.kept("one", json!({}), 1);
    assert!((250..500).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept, trial.kept("many", json!({"memory_bytes": 1}), 5));
    let parts: Vec<Vec<Value>> = documents.chunks(97).map(<[Value]>::to_vec).collect();
    let split = Trial::new("dedup-split", &parts);
    assert_eq!(kept, split.kept("parts", json!({"memory_bytes": 5000}), 3));
}

#[test]
fn it_goes_on_where_it_stopped() {
    let trial = Trial::new("dedup-stopped", &[families(300), families(200)]);
    let whole = trial.kept("whole", json!({}), 1);
    let out = trial.scratch.join("stopped");
    let settings = DedupSettings::default();
    let job_settings = JobSettings { keep_dropped: true, ..JobSettings::default() };
    let job = Job {
        inputs: &trial.inputs,
        out: &out,
        shard: ShardOf::ALL,
        settings: &job_settings,
        threads: 1,
        commit_every: Duration::ZERO,
    };
    let stop = StopFlag::default();
    stop.raise();
    assert_eq!(dedup(&job, &settings, &mut Silent, &stop).unwrap(), Outcome::Stopped);
    // Killed with the first pass done, and a part of it damaged since.
    let work = out.join(".dedup");
    let first = Job { out: &work, ..job };
    let intermediate = JobSettings { keep_dropped: false, ..job_settings.clone() };
    let first = Job { settings: &intermediate, ..first };
    first.run(&Rows::new(&settings, Keyed::ByBands).unwrap(), &mut Silent, &StopFlag::default()).unwrap();
    let rows = work.join("00000-0.rows");
    let mut bytes = std::fs::read(&rows).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&rows, &bytes).unwrap();
    let error = dedup(&job, &settings, &mut Silent, &StopFlag::default()).unwrap_err();
    assert!(error.is_request() && error.to_string().contains("damaged"), "{error}");
    bytes[40] ^= 1;
    std::fs::write(&rows, &bytes).unwrap();
    assert_eq!(trial.kept("stopped", json!({}), 2), whole);
    // And is kept when it is asked for again.
    assert_eq!(trial.kept("stopped", json!({}), 2), whole);
}

#[test]
fn what_cannot_be_is_refused() {
    for (settings, found) in [
        (json!({"threshold": 1.0}), "threshold = 1"),
        (json!({"hashes": 0}), "hashes = 0"),
        (json!({"n_gram": 0}), "n_gram = 0"),
        (json!({"bands": 20, "rows": 13}), "bands = 20, rows = 13"),
        (json!({"bands": 20}), "together"),
    ] {
        let settings: DedupSettings = serde_json::from_value(settings).unwrap();
        let error = settings.resolved_bands().unwrap_err();
        assert!(error.is_request() && error.to_string().contains(found), "{error}");
    }
}
