//! The stage as a whole.

use std::time::Duration;

use serde_json::{Value, json};
use tutelage_run::Silent;
use tutelage_testkit::Scratch;

use super::*;
use crate::ShardOf;

fn run(
    name: &str,
    lines: &[Value],
    settings: Value,
    shard: &str,
) -> Result<(Manifest, Vec<Value>, Vec<Value>), CorpusError> {
    let scratch = Scratch::new(name);
    let input = scratch.join("pages.jsonl");
    std::fs::write(&input, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let (inputs, out) = ([input], scratch.join("out"));
    let job_settings = JobSettings { keep_dropped: true, ..JobSettings::default() };
    let job = Job {
        inputs: &inputs,
        out: &out,
        shard: shard.parse::<ShardOf>().unwrap(),
        settings: &job_settings,
        threads: 2,
        commit_every: Duration::ZERO,
    };
    let settings: FormatSettings = serde_json::from_value(settings).unwrap();
    let outcome = format(&job, &settings, &mut Silent, &StopFlag::default())?;
    // Again: it is done.
    assert_eq!(format(&job, &settings, &mut Silent, &StopFlag::default())?, outcome);
    let Outcome::Done(manifest) = outcome else { panic!("nobody asked to stop") };
    let read = |path: &Path| -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let file = &manifest.outputs[0].file;
    let mut dropped = read(&out.join("dropped").join(file));
    dropped.extend(read(&out.join("dropped/first/00000-pages.jsonl")));
    let kept = read(&out.join(file));
    assert!(!out.join(".formatted").exists() && !out.join(".dedup").exists());
    Ok((*manifest, kept, dropped))
}

const ENGLISH: &str =
    "The road goes over the bridge, and nobody knows where it ends; once it had a name that everyone knew.";

fn lines() -> Vec<Value> {
    let page = format!(
        "<html><head><title>Roads</title></head><body><nav>Home</nav><article><p>{ENGLISH}</p>\
        <p>Later the valley was left, and the name with it; but the bridge stands, as bridges do.</p></article></body></html>"
    );
    vec![
        json!({"id": "page", "html": page, "meta": {"url": "http://x"}}),
        json!({"text": format!("  {ENGLISH}\r\n")}),
        json!({"id": "copy", "text": ENGLISH}),
        json!({"id": "wrong", "text": "Die StraÃŸe fÃ¼hrt Ã¼ber die BrÃ¼cke, und niemand weiÃŸ, wo sie endet."}),
        json!({"id": "blank", "text": " \n\u{0} "}),
        json!({"id": "bomb", "html": "<div>".repeat(4000)}),
        json!({"id": "none"}),
    ]
}

#[test]
fn pages_and_texts_come_out_alike() {
    let (manifest, kept, dropped) = run("format-all", &lines(), json!({}), "1/1").unwrap();
    assert_eq!((manifest.stage.as_str(), manifest.read, manifest.kept), ("format", 7, 3));
    let expected = [("empty", 1), ("exact_duplicate", 1), ("html_too_deep", 1), ("no_text", 1)];
    assert!(manifest.dropped.iter().map(|(name, count)| (&name[..], *count)).eq(expected));
    let ids: Vec<&str> = kept.iter().map(|document| document["id"].as_str().unwrap()).collect();
    assert_eq!((ids[0], ids[2]), ("page", "wrong"));
    // The hash of its text, so the same wherever the document stands.
    assert_eq!(ids[1], hash_bytes(ENGLISH.as_bytes()).to_string());
    assert!(kept[0].get("html").is_none() && kept[0]["text"].as_str().unwrap().starts_with("The road goes"));
    assert_eq!((&kept[0]["meta"]["title"], &kept[0]["meta"]["language"]), (&json!("Roads"), &json!("en")));
    assert_eq!(kept[2]["text"], "Die Straße führt über die Brücke, und niemand weiß, wo sie endet.");
    assert_eq!(kept[2]["meta"]["language"], "de");
    // "none" has nothing to keep aside but where it stood.
    assert_eq!(dropped.len(), 4);
    assert_eq!(dropped[0]["duplicate_of"]["document"], 2);
}

#[test]
fn languages_are_chosen() {
    let (manifest, kept, _) = run("format-languages", &lines()[1..4], json!({"languages": ["de"]}), "1/1").unwrap();
    assert_eq!((manifest.kept, manifest.dropped["language"]), (1, 2));
    assert_eq!(kept[0]["id"], "wrong");
    let (manifest, ..) =
        run("format-scores", &lines()[1..4], json!({"min_language_score": 1.0, "exact_duplicates": false}), "1/1")
            .unwrap();
    assert!(manifest.read == manifest.kept + manifest.dropped.values().sum::<u64>());
}

#[test]
fn a_model_may_find_languages() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/classifier/hs.ftz");
    let (manifest, kept, _) = run("format-model", &lines()[1..4], json!({"language_model": model}), "1/1").unwrap();
    assert!(kept.iter().all(|document| document["meta"]["language"].as_str().unwrap().starts_with('l')));
    assert!(manifest.settings["language_model_hash"].is_string());
    let error =
        run("format-labels", &lines(), json!({"language_model": model, "languages": ["en"]}), "1/1").unwrap_err();
    assert!(error.is_request() && error.to_string().contains("which knows l"), "{error}");
}

#[test]
fn what_cannot_be_is_refused() {
    for (settings, shard, found) in [
        (json!({"languages": ["xx"]}), "1/1", "'xx'"),
        (json!({"min_language_score": 2.0}), "1/1", "from 0 to 1"),
        (json!({"language": false, "languages": ["en"]}), "1/1", "language = true"),
        (json!({}), "1/2", "exact_duplicates=false"),
    ] {
        let error = run("format-refused", &lines(), settings, shard).unwrap_err();
        assert!(error.is_request() && error.to_string().contains(found), "{error}");
    }
    // A part of one file of two parts is empty, and that is no error.
    let (manifest, ..) = run("format-part", &lines(), json!({"exact_duplicates": false}), "1/2").unwrap();
    assert_eq!(manifest.read, 7);
}
