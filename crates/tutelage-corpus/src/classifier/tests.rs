//! Probabilities beside those of fastText 0.9.2 (`tests/fixtures/classifier/make.py`), and files that are no models.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Case {
    model: String,
    text: String,
    probabilities: BTreeMap<String, f32>,
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/classifier").join(name)
}

#[test]
fn probabilities_are_those_of_fasttext() {
    let mut models: BTreeMap<String, Classifier> = BTreeMap::new();
    let mut memory = ClassifierMemory::default();
    for line in include_str!("../../tests/fixtures/classifier/probabilities.jsonl").lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let model = models.entry(case.model.clone()).or_insert_with(|| Classifier::read(&path(&case.model)).unwrap());
        let found = model.probabilities(&case.text, &mut memory);
        for (label, found) in model.labels().iter().zip(found) {
            // fastText adds 1e-5 to what it takes the logarithm of, and takes labels that stand alone from a table of 512 steps.
            let near = if case.model.starts_with("ova") { 8e-3 } else { 5e-5 };
            let expected = case.probabilities.get(label).copied().unwrap_or(0.0);
            assert!(
                (found - expected).abs() < near,
                "{}, {label}: {found} beside {expected}: {}",
                case.model,
                case.text
            );
        }
    }
    assert_eq!(models.len(), 6);
}

#[test]
fn what_is_no_model_is_refused() {
    let bytes = std::fs::read(path("hs.ftz")).unwrap();
    let refused = |bytes: &[u8], found: &str| {
        let error = Classifier::parse(bytes).unwrap_err();
        assert!(error.contains(found), "{error}");
    };
    refused(b"", "ends early");
    refused(b"PK\x03\x04....", "begins with");
    for len in (0..bytes.len()).step_by(997) {
        refused(&bytes[..len], "ends early");
    }
    // Any byte may be wrong: what is read then answers, whatever it says.
    let mut memory = ClassifierMemory::default();
    for at in (0..bytes.len()).step_by(41) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x5a;
        if let Ok(model) = Classifier::parse(&damaged) {
            let _ = model.probabilities("the and a\u{4e2d} b", &mut memory);
        }
    }
}
