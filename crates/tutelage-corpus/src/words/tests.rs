//! Words beside those that spaCy and jieba gave, as datatrove asks them (`tests/fixtures/words/make.py`).

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Case {
    language: String,
    text: String,
    words: Vec<String>,
    sentences: usize,
}

#[test]
fn words_and_sentences_are_those_of_spacy_and_jieba() {
    let words = Words::new();
    let mut cases = 0;
    for line in include_str!("../../tests/fixtures/words/words.jsonl").lines() {
        let Case { language, text, words: expected, sentences } = serde_json::from_str(line).unwrap();
        let rules = WordRules::of_language(&language);
        let mut found = Vec::new();
        words.split(&text, rules, &mut found);
        let fault = found.iter().zip(&expected).position(|(found, expected)| found != expected);
        let around = fault.map(|at| (&found[at.saturating_sub(2)..], &expected[at.saturating_sub(2)..]));
        let around = around.map(|(a, b)| (a[..a.len().min(6)].to_vec(), b[..b.len().min(6)].to_vec()));
        assert!(fault.is_none() && found.len() == expected.len(), "{language}: {around:?} in {text:?}");
        assert_eq!(words.count_sentences(&text, rules), sentences, "{language}: {text:?}");
        cases += 1;
    }
    assert!(cases > 80);
}
