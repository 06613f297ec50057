//! Runs of bytes that stand in the texts more than once are kept where they stand first (Lee and others, 2107.06499, 4.1: ExactSubstr).
//!
//! Departures: bytes are compared, not tokens; of a run that is there twice one stays (their program gives all of its places);
//! what is cut begins and ends between characters.

mod repeated;
mod texts;

use tutelage_run::{Event, Observer, StopFlag, remove_folder};

use super::DedupSettings;
use crate::job::{At, Compression, DocumentStage, Job, JobSettings, Outcome, ShardOf, Tally, read_manifest, value_of};
use crate::{CorpusError, Manifest, Reason, Record};
use repeated::repeated;
use texts::{TextFiles, Texts};

/// Memory for each byte of text: itself, its suffix, and the common prefix of two of these; of 8 bytes from 2 GiB on.
fn memory_bytes(text_bytes: u64) -> u64 {
    text_bytes * if text_bytes < i32::MAX as u64 { 9 } else { 17 } + text_bytes / 8
}

/// Carries out the stage with [`super::DedupMethod::Substring`].
pub(super) fn dedup_substrings(
    job: &Job<'_>,
    settings: &DedupSettings,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, CorpusError> {
    if let Some(outcome) = job.done(&Cuts::new(settings, TextFiles::default(), Vec::new()), observer)? {
        return Ok(outcome);
    }
    let work = job.out.join(".dedup");
    let intermediate = JobSettings { compression: Compression::None, keep_dropped: false, ..job.settings.clone() };
    let first = Job { out: &work, settings: &intermediate, shard: ShardOf::ALL, ..*job };
    let Outcome::Done(_) = first.run(&Texts, observer, stop)? else { return Ok(Outcome::Stopped) };
    let mut files = TextFiles::open(&work, &read_manifest(&work)?)?;
    let needed = memory_bytes(files.text_bytes());
    if needed > settings.memory_bytes as u64 {
        return Err(CorpusError::request(format!(
            "{} bytes of text at once need {needed} bytes of memory, and memory_bytes is {}: raise it if the machine has as much, or \
             carry out the stage on parts of the inputs (what is in two parts is then not found)",
            files.text_bytes(),
            settings.memory_bytes
        )));
    }
    let stage = "dedup: substrings";
    let detail = format!("{} bytes of text", files.text_bytes());
    observer.event(&Event::StageStarted { stage, detail: &detail, total: None, done: 0 });
    let begun = std::time::Instant::now();
    let text = files.text();
    let cuts = repeated(&text, files.starts(), settings.min_bytes)?;
    drop(text);
    if stop.is_raised() {
        return Ok(Outcome::Stopped);
    }
    let result = format!("{} runs that stand elsewhere too", cuts.len());
    observer.event(&Event::StageFinished { stage, result: &result, seconds: begun.elapsed().as_secs_f64() });
    files.forget_texts();
    let outcome = job.run(&Cuts::new(settings, files, cuts), observer, stop)?;
    if matches!(outcome, Outcome::Done(_)) {
        remove_folder(&work)?;
    }
    Ok(outcome)
}

/// Bytes of a document that stand elsewhere before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    document: u32,
    start: u32,
    end: u32,
}

/// The second pass: what stands elsewhere is cut out.
#[derive(Debug)]
struct Cuts<'s> {
    settings: &'s DedupSettings,
    files: TextFiles,
    /// By document.
    cuts: Vec<Cut>,
}

impl<'s> Cuts<'s> {
    fn new(settings: &'s DedupSettings, files: TextFiles, cuts: Vec<Cut>) -> Self {
        Self { settings, files, cuts }
    }
}

impl DocumentStage for Cuts<'_> {
    type Worker = ();

    fn name(&self) -> &'static str {
        "dedup"
    }

    fn settings(&self) -> serde_json::Value {
        let all = value_of(self.settings);
        let used = ["method", "min_bytes", "min_left_chars"].map(|name| (name.to_owned(), all[name].clone()));
        serde_json::Value::Object(used.into_iter().collect())
    }

    fn worker(&self) {}

    fn apply(&self, (): &mut (), record: &mut Record, at: At, tally: &mut Tally) -> Result<(), Reason> {
        let Some(document) = self.files.document(at) else { return Ok(()) };
        let first = self.cuts.partition_point(|cut| cut.document < document);
        let mine = self.cuts[first..].iter().take_while(|cut| cut.document == document);
        let (mut left, mut from, mut cut_bytes) = (String::new(), 0, 0);
        for cut in mine.clone() {
            let (start, end) = inner(&record.text, cut.start as usize, cut.end as usize);
            left.push_str(&record.text[from..start]);
            cut_bytes += end - start;
            from = end;
        }
        if cut_bytes == 0 {
            return Ok(());
        }
        left.push_str(&record.text[from..]);
        tally.add("dedup_documents_cut", 1);
        tally.add("dedup_bytes_cut", cut_bytes as u64);
        let left = left.trim();
        if left.chars().count() < self.settings.min_left_chars.max(1) {
            return Err(Reason::RepeatedText);
        }
        record.set_text(left.to_owned());
        Ok(())
    }

    fn filters(&self, manifest: &Manifest) -> Vec<(String, u64)> {
        let name = format!("runs of {} bytes that stand twice", self.settings.min_bytes);
        vec![(name, manifest.counted("dedup_documents_cut"))]
    }
}

/// The characters that lie wholly in a range of bytes.
fn inner(text: &str, start: usize, end: usize) -> (usize, usize) {
    let start = (start..=end).find(|&at| text.is_char_boundary(at)).unwrap_or(end);
    let end = (start..=end).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(start);
    (start, end)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use serde_json::json;
    use tutelage_run::Silent;
    use tutelage_testkit::Scratch;

    use super::*;
    use crate::look::documents;

    fn dedup(name: &str, texts: &[&str], settings: serde_json::Value, threads: usize) -> (Manifest, Vec<String>) {
        let scratch = Scratch::new(&format!("substrings-{name}-{threads}"));
        let path = scratch.join("a.jsonl");
        let lines: Vec<String> = texts.iter().map(|text| json!({ "text": text }).to_string()).collect();
        std::fs::write(&path, lines.join("\n")).unwrap();
        let (inputs, out, job) = ([path], scratch.join("out"), JobSettings::default());
        let job = Job {
            inputs: &inputs,
            out: &out,
            shard: ShardOf::ALL,
            settings: &job,
            threads,
            commit_every: Duration::ZERO,
        };
        let settings = serde_json::from_value(settings).unwrap();
        let outcome = super::super::dedup(&job, &settings, &mut Silent, &StopFlag::default()).unwrap();
        let Outcome::Done(manifest) = outcome else { panic!("nobody asked to stop") };
        let folder: [PathBuf; 1] = [out.clone()];
        let left = documents(&folder, &JobSettings::default()).unwrap();
        (*manifest, left.map(|found| found.unwrap().record.unwrap().text).collect())
    }

    #[test]
    fn what_stands_twice_stays_where_it_stands_first() {
        let run = "a run of words that stands in two of them";
        let texts =
            [&format!("first, {run}, end")[..], "nothing of it", &format!("{run}: second"), &format!("x{run}"), ""];
        let settings = json!({"method": "substring", "min_bytes": 20, "min_left_chars": 3});
        for threads in [1, 2] {
            let (manifest, left) = dedup("twice", &texts, settings.clone(), threads);
            assert_eq!(left, [texts[0], "nothing of it", ": second", ""]);
            assert_eq!(manifest.dropped["repeated_text"], 1);
            assert_eq!(manifest.counts["dedup_bytes_cut"], 2 * run.len() as u64);
        }
        let (_, left) = dedup("longer", &texts, json!({"method": "substring", "min_bytes": 60}), 1);
        assert_eq!(left, texts);
    }

    #[test]
    fn characters_are_not_cut() {
        // The last byte of one character and the first of another are the same as elsewhere.
        let (a, b) = ("中文字的句子在这里", "丈文字的句子在这里");
        let (_, left) =
            dedup("chars", &[a, b], json!({"method": "substring", "min_bytes": 12, "min_left_chars": 1}), 1);
        assert_eq!(left, [a, "丈"]);
    }

    #[test]
    fn settings_of_other_methods_are_refused() {
        let refused = |settings: serde_json::Value, found: &str| {
            let settings: DedupSettings = serde_json::from_value(settings).unwrap();
            let error = settings.check().unwrap_err();
            assert!(error.is_request() && error.to_string().contains(found), "{error}");
        };
        refused(json!({"method": "substring", "threshold": 0.8}), "threshold");
        refused(json!({"method": "substring", "keep": "first"}), "keep");
        refused(json!({"method": "exact", "n_gram": 4}), "n_gram");
        refused(json!({"min_bytes": 100}), "min_bytes");
        refused(json!({"method": "substring", "min_bytes": 3}), "min_bytes = 3");
    }
}
