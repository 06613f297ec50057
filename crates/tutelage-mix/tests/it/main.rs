//! Mixtures of small sources: every token accounted for, the same bytes whatever happens, and what is refused.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tutelage_corpus::{Job, JobSettings, Manifest, Outcome, ShardOf};
use tutelage_data::{PackedSet, Shard};
use tutelage_mix::{MixError, MixReport, MixSettings, MixTokenizer, Tokenize, mix};
use tutelage_run::{Event, Observer, RandomStream, Silent, StopFlag, hash_bytes, read_json};
use tutelage_testkit::Scratch;
use tutelage_token::Tokenizer;

struct Place {
    scratch: Scratch,
    tokenizer: Tokenizer,
}

const WORDS: [&str; 8] = ["river", "stone", "a", "the", "running", "of", "light", "under"];

impl Place {
    /// Sources `web`, of 300 documents of 1 to 40 words, `books`, of 40 of 100 to 200, and `notes`, of 30.
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let mut stream = RandomStream::new(2, "texts");
        let mut all = String::new();
        for (source, n, least, most) in [("web", 300, 1, 40), ("books", 40, 100, 200), ("notes", 30, 5, 30)] {
            let mut lines = String::new();
            for i in 0..n {
                let words = least + stream.below(most - least);
                let text: Vec<&str> = (0..words).map(|_| WORDS[stream.below(8) as usize]).collect();
                let text = format!("{source} {i}: {}", text.join(" "));
                lines.push_str(&format!("{}\n", json!({"id": format!("{source}{i}"), "text": text})));
                all.push_str(&text);
            }
            std::fs::write(scratch.join(format!("{source}.jsonl")), lines).unwrap();
        }
        let tokenizer = Tokenizer::train_bpe([&all[..]].into_iter(), 300).unwrap();
        Self { scratch, tokenizer }
    }

    fn inputs(&self) -> Vec<PathBuf> {
        ["web", "books", "notes"].map(|name| self.scratch.join(format!("{name}.jsonl"))).into()
    }

    fn with_tokenizer<T>(&self, work: impl FnOnce(&MixTokenizer<'_>) -> T) -> T {
        let hash = hash_bytes(self.tokenizer.to_json().unwrap().as_bytes());
        work(&MixTokenizer { tokenizer: &self.tokenizer, name: "small".to_owned(), hash })
    }

    fn try_mix(
        &self,
        out: &str,
        inputs: &[PathBuf],
        threads: usize,
        settings: serde_json::Value,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<Outcome, MixError> {
        let settings: MixSettings = serde_json::from_value(settings).unwrap();
        let out = self.scratch.join(out);
        let job = JobSettings::default();
        let job = Job { inputs, out: &out, shard: ShardOf::ALL, settings: &job, threads, commit_every: Duration::ZERO };
        self.with_tokenizer(|tokenizer| mix(&job, &settings, Some(tokenizer), observer, stop))
    }

    fn mix(&self, out: &str, settings: serde_json::Value) -> (Manifest, MixReport) {
        let outcome = self.try_mix(out, &self.inputs(), 1, settings, &mut Silent, &StopFlag::default());
        let Outcome::Done(manifest) = outcome.unwrap() else { panic!("nobody asked to stop") };
        (*manifest, read_json(&self.scratch.join(out).join("mix.json")).unwrap())
    }

    fn shard(&self, out: &str, phase: &str) -> Shard {
        Shard::open(&self.scratch.join(out).join(phase)).unwrap()
    }

    /// The texts of a shard, by source.
    fn texts(&self, shard: &Shard) -> BTreeMap<String, Vec<String>> {
        let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for i in 0..shard.n_documents() {
            let ids: Vec<u32> = shard.document(i).map(|at| shard.token(at)).collect();
            let source = &shard.manifest().routes[usize::from(shard.route(i).unwrap())];
            texts.entry(source.clone()).or_default().push(self.tokenizer.decode(&ids).unwrap());
        }
        texts
    }
}

#[test]
fn everything_once_is_what_is_done_unless_told() {
    let place = Place::new("mix-once");
    let (manifest, report) = place.mix("out", json!({"heldout_fraction": 0.1}));
    let phase = &report.phases[0];
    let heldout = report.heldout.as_ref().unwrap();
    assert_eq!((manifest.read, manifest.kept), (370, 370));
    assert_eq!(phase.documents + heldout.documents, 370);
    assert!((15..70).contains(&heldout.documents), "{}", heldout.documents);
    let (train, held) = (place.texts(&place.shard("out", "train")), place.texts(&place.shard("out", "heldout")));
    for (source, n) in [("web", 300), ("books", 40), ("notes", 30)] {
        let mut all: Vec<&String> = train[source].iter().chain(&held[source]).collect();
        assert_eq!(all.len(), n);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), n);
        assert!(all.iter().all(|text| text.starts_with(source)));
    }
    // What a training reads it with.
    let json = std::fs::read(place.scratch.join("out/tokenizer/tokenizer.json")).unwrap();
    assert_eq!(hash_bytes(&json), report.tokenizer);
    for file in ["train.ds", "train.ds.index", "train.ds.metadata", "train.idx"] {
        assert!(place.scratch.join("out").join(file).exists(), "{file}");
    }
}

/// Two phases as InternLM2's: short documents, then half of the tokens in long ones.
fn phases() -> serde_json::Value {
    json!({
        "sources": {"books": {"max_epochs": 3.0}},
        "phases": [
            {"name": "4k", "seq_len": 64, "tokens": 6000, "weights": {"web": 0.5, "books": 0.5}},
            {"name": "32k", "seq_len": 256, "tokens": 8000, "weights": {"web": 0.2, "books": 0.7, "notes": 0.1},
             "short": {"below": 100, "share": 0.3}},
            {"name": "enhancement", "seq_len": 256, "epochs": {"notes": 2.0}},
        ],
    })
}

#[test]
fn tokens_are_accounted_for_by_source() {
    let place = Place::new("mix-accounts");
    let (manifest, report) = place.mix("out", phases());
    let mut seen: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for phase in &report.phases {
        let shard = place.shard("out", &phase.name);
        let mut tokens: BTreeMap<String, (u64, u64, u64)> = BTreeMap::new();
        for (i, source) in
            (0..shard.n_documents()).map(|i| (i, &shard.manifest().routes[usize::from(shard.route(i).unwrap())]))
        {
            let len = shard.document(i).end - shard.document(i).start;
            let counts = tokens.entry(source.clone()).or_default();
            *counts = (counts.0 + 1, counts.1 + len, counts.2 + if len < 100 { len } else { 0 });
        }
        for (source, (documents, all, short)) in tokens {
            let told = &phase.sources[&source];
            assert_eq!((told.documents, told.tokens), (documents, all), "{} {source}", phase.name);
            assert_eq!(manifest.counts[&format!("tokens_{}_{source}", phase.name)], all);
            // To within the last document: of each length where these are asked for.
            assert!(
                told.tokens >= told.asked && told.tokens < told.asked + 2 * 450,
                "{} {source}: {told:?}",
                phase.name
            );
            if phase.name == "32k" {
                assert_eq!(told.short_tokens, short);
            }
        }
        for (source, texts) in place.texts(&shard) {
            for text in texts {
                *seen.entry(source.clone()).or_default().entry(text).or_default() += 1;
            }
        }
    }
    let long = &report.phases[1];
    let short: u64 = long.sources.values().map(|source| source.short_tokens).sum();
    assert!((short as f64 / long.tokens as f64 - 0.3).abs() < 0.04, "{short} of {}", long.tokens);
    // Nothing a second time while something was not seen once; notes are in the second phase in part, and twice in the third.
    assert!(seen["web"].values().all(|&n| n == 1));
    assert!(seen["notes"].values().all(|&n| n >= 2) && seen["notes"].len() == 30);
    for (source, told) in &report.sources {
        let uses: u64 = seen[source].values().sum();
        assert_eq!(told.documents - told.unused_documents, seen[source].len() as u64, "{source} {uses}");
    }
    assert_eq!(
        manifest.dropped["not_drawn"],
        report.sources.values().map(|source| source.unused_documents).sum::<u64>()
    );
    let phase = &report.phases[0];
    let best = phase.best_fit.unwrap();
    assert!(best.padding < 0.05 && best.cut_documents < phase.stream.unwrap().cut_documents, "{phase:?}");
    let set = PackedSet::best_fit(place.shard("out", "4k").into(), 64, Some(0)).unwrap();
    assert_eq!(set.numbers(), best);
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    files
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

/// Asks to stop when something has been done that often.
struct StopsAfter<'s>(u32, &'s StopFlag);

impl Observer for StopsAfter<'_> {
    fn event(&mut self, event: &Event<'_>) {
        if !matches!(event, Event::Note(_)) {
            match self.0.checked_sub(1) {
                Some(left) => self.0 = left,
                None => self.1.raise(),
            }
        }
    }
}

#[test]
fn stops_and_threads_change_no_byte() {
    let place = Place::new("mix-bits");
    // Enough documents for a shard to be stopped within.
    let lines: String =
        (0..5000).map(|i| format!("{}\n", json!({"text": format!("light {i} of river {}", i % 7)}))).collect();
    std::fs::write(place.scratch.join("many.jsonl"), lines).unwrap();
    let inputs = [place.inputs(), vec![place.scratch.join("many.jsonl")]].concat();
    let settings = json!({
        "phases": [{"name": "a", "epochs": {"many": 1.0, "web": 1.0}}, {"name": "b", "epochs": {"many": 1.5, "books": 1.0}}],
        "heldout_fraction": 0.01,
    });
    let whole = |out: &str, threads: usize| {
        let outcome = place.try_mix(out, &inputs, threads, settings.clone(), &mut Silent, &StopFlag::default());
        assert!(matches!(outcome.unwrap(), Outcome::Done(_)));
        files(&place.scratch.join(out))
    };
    let expected = whole("one", 1);
    assert_eq!(whole("three", 3), expected);
    let mut stops = 0;
    for after in 0..400 {
        let stop = StopFlag::default();
        let outcome =
            place.try_mix("stopped", &inputs, 2, settings.clone(), &mut StopsAfter(after, &stop), &stop).unwrap();
        stops += u32::from(outcome == Outcome::Stopped);
        if outcome != Outcome::Stopped {
            break;
        }
    }
    assert!(stops >= 8, "{stops}");
    assert_eq!(files(&place.scratch.join("stopped")), expected);
    assert!(!place.scratch.join("stopped/.work").exists());
}

#[test]
fn tokens_that_are_there_are_not_made_again() {
    let place = Place::new("mix-tokens");
    let (_, expected) = place.mix("whole", phases());
    let tokens = |name: &str, threads: usize| {
        let out = place.scratch.join("tokens").join(name);
        let inputs = [place.scratch.join(format!("{name}.jsonl"))];
        let job = JobSettings::default();
        let job = Job {
            inputs: &inputs,
            out: &out,
            shard: ShardOf::ALL,
            settings: &job,
            threads,
            commit_every: Duration::ZERO,
        };
        place.with_tokenizer(|tokenizer| {
            let stage = Tokenize::new(&place.tokenizer, tokenizer.hash.clone(), 0.0);
            job.run(&stage, &mut Silent, &StopFlag::default()).unwrap();
        });
        out
    };
    let inputs = ["web", "books", "notes"].map(|name| tokens(name, 2));
    let mixed = place.try_mix("mixed", &inputs, 1, phases(), &mut Silent, &StopFlag::default());
    assert!(matches!(mixed.unwrap(), Outcome::Done(_)));
    let found: MixReport = read_json(&place.scratch.join("mixed/mix.json")).unwrap();
    assert_eq!(found, expected);
    assert_eq!(
        std::fs::read(place.scratch.join("mixed/32k.bin")).unwrap(),
        std::fs::read(place.scratch.join("whole/32k.bin")).unwrap()
    );
    let refused = |out: &str, settings: serde_json::Value, found: &str| {
        let error = place.try_mix(out, &inputs, 1, settings, &mut Silent, &StopFlag::default()).unwrap_err();
        assert!(error.is_request() && error.to_string().contains(found), "{error}");
    };
    refused("held", json!({"heldout_fraction": 0.2}), "holds 0 of its documents out");
    // A byte that changed.
    let path = inputs[0].join("00000-web.tokens");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    refused("damaged", json!({}), "its hash is not its manifest's");
}

#[test]
fn what_cannot_be_is_refused() {
    let place = Place::new("mix-refused");
    let refused = |settings: serde_json::Value, found: &str| {
        let error = place.try_mix("out", &place.inputs(), 1, settings, &mut Silent, &StopFlag::default()).unwrap_err();
        assert!(error.is_request() && error.to_string().contains(found), "{error}");
    };
    let phase = |more: serde_json::Value| {
        let mut phase = json!({"name": "p"});
        more.as_object().unwrap().iter().for_each(|(name, value)| phase[name] = value.clone());
        json!({ "phases": [phase] })
    };
    refused(phase(json!({})), "either weights");
    refused(phase(json!({"weights": {"wob": 1.0}})), "there is no such source; there are books, notes, web");
    refused(phase(json!({"weights": {"web": 0.0}})), "weights.web = 0");
    refused(phase(json!({"weights": {"web": 1.0}, "tokens": 1_000_000})), "set max_epochs to");
    refused(phase(json!({"epochs": {"web": 1.0}, "tokens": 10})), "leave tokens out");
    refused(phase(json!({"weights": {"web": 1.0}, "short": {"below": 10, "share": 0.5}})), "say how many");
    refused(phase(json!({"name": "../x", "epochs": {"web": 1.0}})), "name of files");
    refused(phase(json!({"name": "heldout", "epochs": {"web": 1.0}})), "taken");
    refused(json!({"heldout_fraction": 0.9}), "heldout_fraction = 0.9");
    refused(json!({"sources": {"more": {}}}), "sources.more has no inputs");
    refused(json!({"sources": {"web": {"inputs": ["x.jsonl"]}}}), "an input has that name too");
    refused(json!({"sources": {"web": {"max_epochs": 0.0}}}), "max_epochs = 0");
    let twice = [place.inputs(), place.inputs()].concat();
    let error = place.try_mix("out", &twice, 1, json!({}), &mut Silent, &StopFlag::default()).unwrap_err();
    assert!(error.to_string().contains("two inputs are called"), "{error}");
    // What was refused stands in the way of nothing; a second mixture in the first's folder does.
    place.mix("out", json!({}));
    refused(json!({"seed": 2}), "other settings");
}
