//! Models that are learned: what they are worth, their bits, their gradients beside plain loops, and what is refused.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tutelage_run::{RandomStream, Silent};
use tutelage_testkit::Scratch;

use super::*;
use crate::{JobSettings, ShardOf};

/// Texts of two kinds, mostly told apart by their words; in `lost` the labels are drawn.
fn documents(n: usize) -> String {
    let mut stream = RandomStream::new(5, "documents");
    let kinds = [["sun", "warm", "light"], ["moon", "cold", "dark"]];
    let mut lines = String::new();
    for i in 0..n {
        let kind = stream.below(2) as usize;
        let mut words: Vec<&str> = (0..6).map(|_| ["the", "a", "and"][stream.below(3) as usize]).collect();
        words.extend(
            (0..3).map(|_| kinds[if stream.below(10) == 0 { 1 - kind } else { kind }][stream.below(3) as usize]),
        );
        let language = ["en", "lost"][usize::from(i % 4 == 3)];
        let label = if language == "lost" { stream.below(2) as usize } else { kind };
        let (text, label) = (format!("{} {i}.", words.join(" ")), ["day", "night"][label]);
        let line = json!({"id": i, "text": text, "language": language, "label": label});
        lines.push_str(&format!("{line}\n"));
    }
    lines
}

fn settings() -> ClassifierTraining {
    ClassifierTraining { held_out: 0.5, ..ClassifierTraining::default() }
}

struct Place {
    scratch: Scratch,
    inputs: Vec<PathBuf>,
}

impl Place {
    fn new(name: &str, lines: &str) -> Self {
        let scratch = Scratch::new(name);
        let path = scratch.join("documents.jsonl");
        std::fs::write(&path, lines).unwrap();
        Self { inputs: vec![path], scratch }
    }

    fn train(&self, out: &str, threads: usize, settings: &ClassifierTraining) -> Result<Manifest, CorpusError> {
        let job = JobSettings::default();
        let out = self.scratch.join(out);
        let job = Job {
            inputs: &self.inputs,
            out: &out,
            shard: ShardOf::ALL,
            settings: &job,
            threads,
            commit_every: Duration::ZERO,
        };
        match train_classifier(&job, settings, &mut Silent, &StopFlag::default())? {
            Outcome::Done(manifest) => Ok(*manifest),
            Outcome::Stopped => panic!("nobody asked to stop"),
        }
    }

    fn bytes(&self, out: &str) -> Vec<u8> {
        std::fs::read(self.scratch.join(out).join(MODEL)).unwrap()
    }
}

/// Asks to stop when the first epoch is done.
struct StopsAfter<'s>(u64, &'s StopFlag);

impl Observer for StopsAfter<'_> {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Progress { done, .. } = event
            && *done >= self.0
        {
            self.1.raise();
        }
    }
}

#[test]
fn what_is_learned_is_told() {
    let place = Place::new("classifier-learned", &(documents(2000) + "{\"text\":\"none\"}\n"));
    let manifest = place.train("one", 1, &settings()).unwrap();
    assert_eq!((manifest.read, manifest.kept, manifest.dropped["no_label"]), (2001, 2000, 1));
    let parts =
        ["learned_from", "held_out_for_calibration", "held_out_for_evaluation"].map(|name| manifest.counts[name]);
    assert_eq!(parts.iter().sum::<u64>(), 2000);
    assert!(parts[0] > 900 && parts[1] > 400 && parts[2] > 400, "{parts:?}");
    let model = Classifier::read(&place.scratch.join("one").join(MODEL)).unwrap();
    let card = model.card().unwrap();
    let [english, lost] = ["en", "lost"].map(|language| &card.evaluation.languages[language]);
    // Two words of three or more are the kind's own in 97.2 % of texts.
    assert!(english.accuracy > 0.9 && english.informedness > 0.8, "{english:?}");
    assert!(lost.informedness < 0.35, "{lost:?}");
    assert!(card.refuses("lost") && !card.refuses("en") && !card.refuses("de"));
    assert!(manifest.warnings.iter().any(|warning| warning.contains("'lost'")), "{:?}", manifest.warnings);
    // A model that is as sure as it is right.
    assert!(card.evaluation.all.calibration_error < 0.08, "{:?}", card.evaluation.all);
    let mut memory = ClassifierMemory::default();
    assert_eq!(model.best("The SUN, warm", &mut memory).unwrap().0, "day");
    assert_eq!(model.best("dark, dark moon!", &mut memory).unwrap().0, "night");
    // In that language it decides about nothing, and is not asked to.
    let path = place.scratch.join("one").join(MODEL);
    let quality = |languages: &[&str]| {
        let classifier = json!({"name": "kind", "model": path, "label": "day", "min": 0.5, "languages": languages});
        crate::Quality::new(serde_json::from_value(json!({"classifiers": [classifier]})).unwrap())
    };
    let error = quality(&["en", "lost"]).unwrap_err();
    assert!(error.is_request() && error.to_string().contains("'lost'"), "{error}");
    let job = JobSettings::default();
    let out = place.scratch.join("kept");
    let job = Job {
        inputs: &place.inputs,
        out: &out,
        shard: ShardOf::ALL,
        settings: &job,
        threads: 1,
        commit_every: Duration::ZERO,
    };
    let outcome = job.run(&quality(&[]).unwrap(), &mut Silent, &StopFlag::default()).unwrap();
    let Outcome::Done(kept) = outcome else { panic!("nobody asked to stop") };
    assert_eq!(kept.counts["quality_refused_kind"], 500);
    assert!(kept.warnings.iter().any(|warning| warning.contains("500 documents")), "{:?}", kept.warnings);
    // Done is done; other settings are another model.
    assert_eq!(place.train("one", 2, &settings()).unwrap(), manifest);
    let error = place.train("one", 1, &ClassifierTraining { dim: 8, ..settings() }).unwrap_err();
    assert!(error.is_request() && error.to_string().contains("other settings"), "{error}");
}

#[test]
fn threads_and_stops_change_no_bit() {
    let place = Place::new("classifier-bits", &documents(600));
    let settings = ClassifierTraining { chars: [2, 3], epochs: 4, ..settings() };
    place.train("one", 1, &settings).unwrap();
    let expected = place.bytes("one");
    for threads in [2, 3, 4] {
        let out = format!("threads{threads}");
        place.train(&out, threads, &settings).unwrap();
        assert!(place.bytes(&out) == expected, "{threads} threads");
    }
    // Stopped in the first or in the third epoch, and gone on with by another number of threads.
    let job = JobSettings::default();
    let out = place.scratch.join("stopped");
    for after in [0, 700] {
        let stop = StopFlag::default();
        let job = Job {
            inputs: &place.inputs,
            out: &out,
            shard: ShardOf::ALL,
            settings: &job,
            threads: 2,
            commit_every: Duration::ZERO,
        };
        let outcome = train_classifier(&job, &settings, &mut StopsAfter(after, &stop), &stop).unwrap();
        // A machine that is fast enough is done before it is asked.
        if outcome != Outcome::Stopped {
            break;
        }
        assert!(!out.join(MODEL).exists());
    }
    place.train("stopped", 1, &settings).unwrap();
    assert!(place.bytes("stopped") == expected);
    assert!(!out.join(".work").exists());
}

/// The same descent with plain loops, in f64.
fn reference(examples: &[(usize, Vec<usize>)], n_rows: usize, first: &[Vec<f64>], lr: f64) -> Vec<Vec<f64>> {
    let (dim, n_labels) = (first[0].len(), 2);
    let mut rows = first[..n_rows].to_vec();
    let mut output = vec![vec![0.0; dim]; n_labels];
    for (batch, together) in examples.chunks(16).enumerate() {
        let before = rows.clone();
        for (i, (label, own)) in together.iter().enumerate() {
            let lr = lr * (1.0 - (batch * 16 + i) as f64 / examples.len() as f64);
            let mean = |d: usize| own.iter().map(|&row| before[row][d]).sum::<f64>() / own.len() as f64;
            let hidden: Vec<f64> = (0..dim).map(mean).collect();
            let scores: Vec<f64> =
                output.iter().map(|row| row.iter().zip(&hidden).map(|(a, b)| a * b).sum::<f64>().exp()).collect();
            let sum: f64 = scores.iter().sum();
            let old = output.clone();
            for k in 0..n_labels {
                let step = lr * (f64::from(u8::from(k == *label)) - scores[k] / sum);
                for d in 0..dim {
                    output[k][d] += step * hidden[d];
                    own.iter().for_each(|&row| rows[row][d] += step * old[k][d] / own.len() as f64);
                }
            }
        }
    }
    rows.extend(output);
    rows
}

#[test]
fn the_descent_is_that_of_plain_loops() {
    let place = Place::new("classifier-reference", &documents(100));
    let settings =
        ClassifierTraining { held_out: 0.0, epochs: 1, calibrate: false, dim: 4, word_n_grams: 1, ..settings() };
    let job = JobSettings::default();
    let documents = Documents { settings: &settings, job: &job, inputs: &place.inputs };
    let stop = StopFlag::default();
    let vocabulary = documents.vocabulary(&mut Silent, &stop).unwrap().unwrap();
    let (examples, _) =
        documents.examples(&vocabulary.dictionary, &place.scratch, &mut Silent, &stop).unwrap().unwrap();
    let n_rows = vocabulary.dictionary.n_words();
    let mut weights = Weights::new(&examples, n_rows, 2, 4, 2, settings.seed);
    let mut first = Vec::new();
    let take = |row: &[f32]| {
        first.push(row.iter().map(|&x| f64::from(x)).collect());
        Ok::<_, Infallible>(())
    };
    weights.try_each_row(take).unwrap();
    let mut order: Vec<u32> = (0..100).collect();
    RandomStream::new(settings.seed, "classifier order, epoch 0").shuffle(&mut order);
    let (mut labels, mut rows) = (Vec::new(), Vec::new());
    let drawn = order.iter().map(|&example| {
        examples.read(example as usize, &mut labels, &mut rows);
        (labels[0] as usize, rows.iter().map(|&row| row as usize).collect())
    });
    let expected = reference(&drawn.collect::<Vec<_>>(), n_rows, &first, settings.lr);
    Epoch { examples: &examples, settings: &settings, number: 0 }.run(&mut weights, &mut Silent, &stop).unwrap();
    let mut found = Vec::new();
    let take = |row: &[f32]| {
        found.extend_from_slice(row);
        Ok::<_, Infallible>(())
    };
    weights.try_each_row(take).unwrap();
    found.extend_from_slice(&weights.output);
    let far = found.iter().zip(expected.iter().flatten()).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    assert!(far < 1e-5, "{far}");
    // It went somewhere.
    assert!(weights.output.iter().any(|x| x.abs() > 1e-3));
}

#[test]
fn several_labels_stand_alone() {
    let mut lines = String::new();
    for i in 0..400 {
        let (a, b) = (i % 2 == 0, i % 3 == 0);
        let labels: Vec<&str> =
            [(a, "apple"), (b, "berry")].iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
        let text = format!("{} {} number {i}", if a { "red" } else { "no" }, if b { "blue" } else { "none" });
        lines.push_str(&format!("{}\n", json!({"text": text, "label": labels})));
    }
    let place = Place::new("classifier-several", &lines);
    let error = place.train("one", 1, &settings()).unwrap_err();
    assert!(error.is_request() && error.to_string().contains("choice=any_labels"), "{error}");
    let settings = ClassifierTraining { choice: Choice::AnyLabels, epochs: 20, held_out: 0.2, ..settings() };
    place.train("any", 2, &settings).unwrap();
    let model = Classifier::read(&place.scratch.join("any").join(MODEL)).unwrap();
    let p = model.probabilities("red blue number 7", &mut ClassifierMemory::default());
    assert!(p.iter().all(|&p| p > 0.5), "{p:?}");
    let p = model.probabilities("no none number 7", &mut ClassifierMemory::default());
    assert!(p.iter().all(|&p| p < 0.5), "{p:?}");
    assert!(model.card().unwrap().evaluation.all.accuracy > 0.9);
}

#[test]
fn labels_may_be_where_documents_lie() {
    let place = Place::new("classifier-sources", "");
    let write = |name: &str, word: &str| {
        let lines: String = (0..60).map(|i| format!("{{\"text\":\"{word} number {i}\"}}\n")).collect();
        let path = place.scratch.join(name);
        std::fs::write(&path, lines).unwrap();
        path
    };
    let labels = [("good", "fine"), ("bad", "poor")]
        .map(|(label, word)| (label.to_owned(), vec![write(&format!("{label}.jsonl"), word)]));
    let job = JobSettings::default();
    let out = place.scratch.join("out");
    let job =
        Job { inputs: &[], out: &out, shard: ShardOf::ALL, settings: &job, threads: 1, commit_every: Duration::ZERO };
    let settings = ClassifierTraining { labels: labels.into(), ..ClassifierTraining::default() };
    let outcome = train_classifier(&job, &settings, &mut Silent, &StopFlag::default()).unwrap();
    let Outcome::Done(manifest) = outcome else { panic!("nobody asked to stop") };
    assert_eq!((manifest.read, manifest.inputs.len()), (120, 2));
    let model = Classifier::read(&out.join(MODEL)).unwrap();
    assert_eq!(model.best("fine", &mut ClassifierMemory::default()).unwrap().0, "good");
}

#[test]
fn what_cannot_be_is_refused() {
    let place = Place::new("classifier-refused", &documents(20));
    let say = |change: Value| {
        let mut all = value_of(&settings());
        change.as_object().unwrap().iter().for_each(|(name, value)| all[name] = value.clone());
        let error = place.train("x", 1, &serde_json::from_value(all).unwrap()).unwrap_err();
        assert!(error.is_request());
        error.to_string()
    };
    for (change, found) in [
        (json!({"dim": 0}), "dim = 0"),
        (json!({"epochs": 0}), "epochs = 0"),
        (json!({"lr": -1.0}), "lr = -1"),
        (json!({"chars": [3, 2]}), "chars = [3, 2]"),
        (json!({"held_out": 1.0}), "held_out = 1"),
        (json!({"label_field": "kind"}), "no document to learn from has a label in its field 'kind'"),
        (json!({"validation": ["nowhere.jsonl"]}), "nowhere.jsonl"),
    ] {
        let error = say(change);
        assert!(error.contains(found), "{error}");
    }
    // What was refused stands in the way of nothing.
    place.train("x", 1, &settings()).unwrap();
    let one = Place::new("classifier-one", "{\"text\":\"a\",\"label\":\"x\"}\n");
    let all = ClassifierTraining { held_out: 0.0, ..settings() };
    assert!(one.train("x", 1, &all).unwrap_err().to_string().contains("every document has the label 'x'"));
}
