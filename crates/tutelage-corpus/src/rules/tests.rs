//! Verdicts beside those of the programs the rules come from (`tests/fixtures/rules/make.py`).

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

/// What one rule says of a text: the reason, or the text it leaves.
fn verdict(rules: &Rules, language: &str, text: &str) -> Result<String, String> {
    let mut record = Record::new("text", text.to_owned());
    record.set("language", &language);
    let at = At { unit: 0, index: 0 };
    match rules.apply(&mut rules.worker(), &mut record, at, &mut Tally::default()) {
        Ok(()) => Ok(record.text),
        Err(reason) => Err(reason.to_string()),
    }
}

fn only(order: &str, settings: Value) -> Rules {
    let mut all = serde_json::json!({ "preset": "gopher", "order": [order], "by_language": {"zh": {
        "order": [order],
        // The golden verdicts for Chinese are with the thresholds for English.
        "gopher_quality": value(&GopherQuality::default()),
        "gopher_repetition": value(&GopherRepetition::default()),
    }}});
    let (all_map, settings) = (all.as_object_mut().unwrap(), settings.as_object().unwrap().clone());
    all_map.extend(settings);
    Rules::new(serde_json::from_value(all).unwrap()).unwrap()
}

fn value<T: serde::Serialize>(settings: &T) -> Value {
    serde_json::to_value(settings).unwrap()
}

/// Compares one rule with a column of the verdicts; returns the reasons that came up.
fn check(column: &str, rules: &Rules) -> BTreeSet<String> {
    let mut reasons = BTreeSet::new();
    for line in include_str!("../../tests/fixtures/rules/verdicts.jsonl").lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let (text, language) = (row["text"].as_str().unwrap(), row["language"].as_str().unwrap());
        let (reason, left) = match &row[column] {
            Value::Null if !row.as_object().unwrap().contains_key(column) => continue,
            Value::Array(pair) => (pair[0].as_str(), pair[1].as_str()),
            reason => (reason.as_str(), Some(text)),
        };
        let found = verdict(rules, language, text);
        match (reason, &found) {
            // Blank texts get no further here than to be found blank.
            (Some(_), Err(found)) if found == "empty" => assert!(text.trim().is_empty() || reason == Some("empty")),
            // What only says that it dropped.
            (Some("dropped" | "< 3 paragraphs"), Err(_)) => {}
            (Some(reason), Err(found)) => assert_eq!(found, reason, "{column}: {text}"),
            (None, Ok(found)) => assert_eq!(Some(&found[..]), left, "{column}"),
            _ => panic!("{column}: {reason:?} there, {found:?} here: {text}"),
        }
        reasons.extend(found.err());
    }
    reasons
}

#[test]
fn gopher_says_what_datatrove_says() {
    assert!(check("gopher_quality", &only("gopher_quality", serde_json::json!({}))).len() >= 9);
    assert!(check("gopher_repetition", &only("gopher_repetition", serde_json::json!({}))).len() >= 9);
}

#[test]
fn c4_says_and_leaves_what_datatrove_says_and_leaves() {
    check("c4", &only("c4", serde_json::json!({})));
    let fineweb = only("c4", serde_json::json!({"c4": {"terminal_punctuation": false}}));
    assert!(check("c4_without_terminal_punctuation", &fineweb).len() >= 3);
    check("mc4_paragraphs", &only("mc4_paragraphs", serde_json::json!({})));
}

#[test]
fn fineweb_says_what_datatrove_says() {
    assert!(check("fineweb", &only("fineweb", serde_json::json!({}))).len() >= 3);
}

#[test]
fn refinedweb_says_and_leaves_what_dclm_says_and_leaves() {
    let quality = only("refinedweb_quality", serde_json::json!({"refinedweb_quality": {"max_line_breaks": 0}}));
    assert!(check("refinedweb_quality", &quality).len() >= 6);
    assert!(check("refinedweb_repetition", &only("refinedweb_repetition", serde_json::json!({}))).len() >= 6);
    assert!(check("refinedweb_lines", &only("refinedweb_lines", serde_json::json!({}))).len() >= 2);
}

#[test]
fn slimpajama_drops_what_its_rule_drops() {
    assert_eq!(check("slimpajama", &only("slimpajama", serde_json::json!({}))).len(), 2);
}

#[test]
fn signs_are_found() {
    let rules = only("signs", serde_json::json!({}));
    let prose = "The road goes over the bridge, and nobody knows where it ends; once it had a name. ".repeat(8);
    assert_eq!(verdict(&rules, "en", &prose), Ok(prose.clone()));
    for (text, reason) in [
        (prose.replace(' ', "\n"), "too_many_line_breaks"),
        (prose.replace(' ', " | "), "too_many_separators"),
        (format!("{prose}{}", "=".repeat(60)), "too_many_separators"),
        (prose.replace('e', "\u{fffd}"), "abnormal_characters"),
        (prose.replace([',', ';', '.'], ""), "too_little_punctuation"),
        (prose.replace(' ', ". ; ! "), "too_much_punctuation"),
        (prose.replace([',', ';'], ".").replace(' ', ". "), "one_punctuation"),
    ] {
        assert_eq!(verdict(&rules, "en", &text), Err(reason.to_owned()), "{text}");
    }
}

#[test]
fn languages_and_domains_have_their_own_thresholds() {
    let settings = serde_json::json!({
        "preset": "slimpajama",
        "slimpajama": {"min_chars": 20},
        "by_language": {"zh": {"slimpajama": {"min_chars": 5}}},
        "by_domain": {"titles": {"slimpajama": {"min_chars": 2}}},
    });
    let rules = Rules::new(serde_json::from_value(settings).unwrap()).unwrap();
    let say = |line: &str| {
        let mut record = Record::parse(line.as_bytes(), "text").unwrap();
        rules.apply(&mut rules.worker(), &mut record, At { unit: 0, index: 0 }, &mut Tally::default())
    };
    assert_eq!(say("{\"text\":\"ten letters\"}"), Err(Reason::ShortDoc));
    assert_eq!(say("{\"text\":\"ten letters\",\"meta\":{\"domain\":\"titles\"}}"), Ok(()));
    // Looks Chinese; says that it is not.
    assert_eq!(say("{\"text\":\"七个汉字的文本\"}"), Ok(()));
    assert_eq!(say("{\"text\":\"七个汉字的文本\",\"language\":\"ja\"}"), Err(Reason::ShortDoc));
}
