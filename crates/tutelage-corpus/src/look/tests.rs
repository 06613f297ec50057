//! Looking at what a stage made.

use std::path::{Path, PathBuf};

use tutelage_run::Silent;
use tutelage_testkit::Scratch;

use super::*;
use crate::JobSettings;

fn write(path: &Path, lines: &[&str]) -> PathBuf {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, lines.join("\n")).unwrap();
    path.to_path_buf()
}

#[test]
fn numbers_are_those_of_the_documents() {
    let scratch = Scratch::new("look-stats");
    let path = write(
        &scratch.join("a.jsonl"),
        &[
            r#"{"text":"one two","meta":{"language":"en","url":"http://A.com/x"}}"#,
            r#"{"text":"三个字","meta":{"language":"zh","url":"https://a.com"},"copies":3}"#,
            r#"{"html":"<p>x"}"#,
            "damaged",
            r#"{"text":"","dropped":"empty"}"#,
        ],
    );
    let found = stats(&[path], &JobSettings::default(), &mut Silent).unwrap();
    assert_eq!((found.documents, found.pages, found.damaged["not_json"]), (3, 1, 1));
    assert_eq!((found.bytes, found.chars, found.words, found.longest), (16, 10, 5, 7));
    assert_eq!((found.languages["zh"], found.reasons["empty"]), (1, 1));
    assert_eq!(found.hosts, [("a.com".to_owned(), 2)]);
    assert_eq!(found.copies, [Bin { from: 2, to: 4, count: 1 }]);
    assert_eq!(found.lengths.iter().map(|bin| bin.count).sum::<u64>(), 3);
}

#[test]
fn every_document_is_as_likely() {
    let scratch = Scratch::new("look-sample");
    let lines: Vec<String> =
        (0..20).map(|i| format!("{{\"id\":\"{i}\",\"text\":\"t{i}\",\"dropped\":\"r{}\"}}", i % 2)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let path = [write(&scratch.join("a.jsonl"), &lines)];
    let settings = JobSettings::default();
    let mut drawn = [0; 20];
    for seed in 0..400 {
        let found = sample(&path, &settings, 5, None, seed).unwrap();
        assert!(found.len() == 5 && found.is_sorted_by_key(|sample| sample.place));
        found.iter().for_each(|sample| drawn[sample.place as usize - 1] += 1);
    }
    // 400 draws of 5 from 20: 100 each, with a deviation of 8.7.
    assert!(drawn.iter().all(|&n| (65..135).contains(&n)), "{drawn:?}");
    let odd = sample(&path, &settings, 50, Some("r1"), 1).unwrap();
    assert!(odd.len() == 10 && odd.iter().all(|sample| sample.place % 2 == 0));
    assert_eq!(odd[0].document.get(), lines[1]);
}

#[test]
fn what_became_of_documents_is_told() {
    let scratch = Scratch::new("look-diff");
    let before = [write(
        &scratch.join("before.jsonl"),
        &[
            r#"{"id":"a","text":"same"}"#,
            r#"{"id":"b","text":"old"}"#,
            r#"{"id":"c","text":"gone"}"#,
            r#"{"id":"d","text":"gone too"}"#,
            r#"{"text":"nameless"}"#,
        ],
    )];
    let after = scratch.join("after");
    write(
        &after.join("x.jsonl"),
        &[r#"{"id":"a","text":"same"}"#, r#"{"id":"b","text":"new"}"#, r#"{"id":"e","text":"more"}"#],
    );
    write(&scratch.join("after/dropped/x.jsonl"), &[r#"{"id":"c","text":"gone","dropped":"too_short"}"#]);
    // The kept documents alone are what is after.
    let kept = scratch.join("after/x.jsonl");
    let settings = JobSettings::default();
    let found = diff(&before, &kept, &settings, 10).unwrap();
    assert_eq!((found.same, found.changed, found.dropped, found.added, found.without_id), (1, 1, 2, 1, 1));
    assert_eq!(found.changes[0].after, "new");
    assert_eq!(found.changes[1].fate, Fate::Dropped(None));
    assert_eq!(diff(&before, &kept, &settings, 1).unwrap().changes.len(), 2);
    let twice = write(&scratch.join("twice.jsonl"), &[r#"{"id":"a","text":"x"}"#, r#"{"id":"a","text":"y"}"#]);
    assert!(diff(&before, &twice, &settings, 1).unwrap_err().to_string().contains("twice"));
}
