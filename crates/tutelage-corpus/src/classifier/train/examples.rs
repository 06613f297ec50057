//! Documents become rows of numbers: two readings, the first for words and labels, the second for rows.
//!
//! Rows lie in a file that is mapped, so that memory is bounded however many documents there are. What is held out lies in
//! another, as texts. A text is held out by its hash, so copies of it are on one side.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use tutelage_run::{AppendedFile, Event, FileError, MappedFile, Observer, StopFlag, create_folder};
use twox_hash::XxHash3_64;

use super::settings::{Choice, ClassifierTraining};
use crate::classifier::dictionary::{Dictionary, Entry, Vocabulary, tokens};
use crate::job::JobSettings;
use crate::look::{Found, documents};
use crate::manifest::InputRecord;
use crate::{CorpusError, Reason, Record};

/// What documents are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Learn,
    Calibrate,
    Evaluate,
}

/// A document that is not learned from.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HeldOut {
    pub(super) labels: Vec<usize>,
    pub(super) language: Option<String>,
    pub(super) text: String,
    /// For calibration, or else for evaluation.
    pub(super) calibrates: bool,
}

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) read: u64,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) learned: u64,
    pub(super) calibrating: u64,
    pub(super) evaluated: u64,
    pub(super) inputs: Vec<InputRecord>,
}

/// Documents that are learned from, as rows.
#[derive(Debug)]
pub(super) struct Examples {
    file: MappedFile,
    /// Where each begins in the file, in numbers of four bytes, and the end.
    starts: Vec<u64>,
}

impl Examples {
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The labels and the rows of one.
    pub(super) fn read(&self, example: usize, labels: &mut Vec<u32>, rows: &mut Vec<u32>) {
        let bytes = &self.file.bytes()[4 * self.starts[example] as usize..4 * self.starts[example + 1] as usize];
        let mut numbers = bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
        let n_labels = numbers.next().unwrap_or(0) as usize;
        labels.clear();
        labels.extend(numbers.by_ref().take(n_labels));
        rows.clear();
        rows.extend(numbers);
    }
}

/// The documents of a training.
pub(super) struct Documents<'a> {
    pub(super) settings: &'a ClassifierTraining,
    pub(super) job: &'a JobSettings,
    pub(super) inputs: &'a [PathBuf],
}

/// How many different words are counted before the rarest are forgotten.
const MOST_WORDS: usize = 20_000_000;

impl Documents<'_> {
    /// Every file and folder, with the label that its documents have by where they are.
    fn sources(&self) -> Vec<(Option<&str>, &[PathBuf], bool)> {
        let named = self.settings.labels.iter().map(|(label, paths)| (Some(&label[..]), &paths[..], false));
        let own = [(None, self.inputs, false), (None, &self.settings.validation[..], true)];
        own.into_iter().chain(named).filter(|(_, paths, _)| !paths.is_empty()).collect()
    }

    /// Everything that is read, in one list.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.sources().into_iter().flat_map(|(_, paths, _)| paths.iter().cloned()).collect()
    }

    fn use_of(&self, text: &str, is_validation: bool) -> Use {
        let hash = XxHash3_64::oneshot(text.as_bytes());
        let is_held_out = is_validation
            || self.settings.validation.is_empty()
                && ((hash >> 12) as f64) < self.settings.held_out * (1u64 << 52) as f64;
        match (is_held_out, self.settings.calibrate && hash & 1 == 1) {
            (false, _) => Use::Learn,
            (true, true) => Use::Calibrate,
            (true, false) => Use::Evaluate,
        }
    }

    /// Gives every document that has a label.
    fn each(
        &self,
        what: &'static str,
        observer: &mut dyn Observer,
        stop: &StopFlag,
        mut take: impl FnMut(&Record, Vec<String>, Use) -> Result<(), CorpusError>,
    ) -> Result<Option<Counted>, CorpusError> {
        let mut counted = Counted::default();
        observer.event(&Event::StageStarted { stage: what, detail: "reading", total: None, done: 0 });
        let begun = std::time::Instant::now();
        for (label, paths, is_validation) in self.sources() {
            let mut source = documents(paths, self.job)?;
            for found in source.by_ref() {
                if counted.read % 4096 == 0 {
                    if stop.is_raised() {
                        return Ok(None);
                    }
                    let note = format!("{} documents", counted.read);
                    observer.event(&Event::Progress { done: counted.read, note: &note });
                }
                counted.read += 1;
                let Found { file, place, record } = found?;
                let labelled = record.and_then(Record::with_text).map_err(|fault| fault.reason).and_then(|record| {
                    let labels = match label {
                        Some(label) => Some(vec![label.to_owned()]),
                        None => labels_of(&record, &self.settings.label_field),
                    };
                    labels.map(|labels| (record, labels)).ok_or(Reason::NoLabel)
                });
                let (record, labels) = match labelled {
                    Ok(found) => found,
                    Err(reason) => {
                        *counted.dropped.entry(reason.to_string()).or_default() += 1;
                        continue;
                    }
                };
                if self.settings.choice == Choice::OneLabel && labels.len() != 1 {
                    return Err(CorpusError::request(format!(
                        "{file}, document {place}, has {} labels: documents with several labels, or none, are learned from with choice=any_labels",
                        labels.len()
                    )));
                }
                let part = self.use_of(&record.text, is_validation);
                *match part {
                    Use::Learn => &mut counted.learned,
                    Use::Calibrate => &mut counted.calibrating,
                    Use::Evaluate => &mut counted.evaluated,
                } += 1;
                take(&record, labels, part)?;
            }
            counted.inputs.extend(source.into_inputs());
        }
        let result = format!("{} documents", counted.read);
        let seconds = begun.elapsed().as_secs_f64();
        observer.event(&Event::StageFinished { stage: what, result: &result, seconds });
        Ok(Some(counted))
    }

    /// The first reading: words and labels.
    pub(super) fn vocabulary(
        &self,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<Option<Vocabulary>, CorpusError> {
        let prepare = self.settings.prepare();
        let mut words: FxHashMap<Box<[u8]>, u64> = FxHashMap::default();
        let mut labels: BTreeMap<String, u64> = BTreeMap::new();
        let (mut text, mut n_runs, mut least) = (String::new(), 0u64, self.settings.min_count);
        let counted = self.each("classifier: words", observer, stop, |record, names, part| {
            if part != Use::Learn {
                return Ok(());
            }
            names.into_iter().for_each(|label| *labels.entry(label).or_default() += 1);
            prepare.write(&record.text, &mut text);
            for token in tokens(&text) {
                let chars = if self.settings.chars[1] > 0 { 4 * token.len() as u64 } else { 0 };
                n_runs += self.settings.word_n_grams as u64 - 1 + chars;
                match words.get_mut(token) {
                    Some(count) => *count += 1,
                    None => {
                        words.insert(token.into(), 1);
                    }
                }
            }
            if words.len() > MOST_WORDS {
                least += 1;
                words.retain(|_, count| *count >= least);
            }
            Ok(())
        })?;
        let Some(counted) = counted else { return Ok(None) };
        let names: Vec<&str> = labels.keys().map(String::as_str).collect();
        if labels.len() < 2 {
            let found = match names[..] {
                [] => format!(
                    "no document to learn from has a label in its field '{}' (of {} read); name the field with label_field, or sources by label with 'labels={{good=[\"a.jsonl\"],bad=[\"b.jsonl\"]}}'",
                    self.settings.label_field, counted.read
                ),
                _ => {
                    format!("every document has the label '{}': a classifier tells at least two apart", names.join(""))
                }
            };
            return Err(CorpusError::request(found));
        }
        if let Some(name) = names.iter().find(|name| name.is_empty() || name.contains([' ', '\n', '\t', '\0'])) {
            return Err(CorpusError::request(format!(
                "the label '{name}' is empty or has white space, which the format of models has no place for"
            )));
        }
        if labels.len() > 65_535 {
            return Err(CorpusError::request(format!(
                "there are {} labels; a model holds 65,535: is '{}' the field of labels?",
                labels.len(),
                self.settings.label_field
            )));
        }
        let words = words.into_iter().filter(|(_, count)| *count >= self.settings.min_count);
        let words = words.map(|(word, count)| Entry { word: word.into_vec(), count });
        let labels = labels.into_iter().map(|(label, count)| Entry { word: label.into_bytes(), count });
        let mut vocabulary = Vocabulary::new(words.collect(), labels.collect(), counted.learned);
        let dictionary = &mut vocabulary.dictionary;
        let buckets = match self.settings.buckets {
            0 => (n_runs.min(2_000_000) as usize).next_power_of_two().min(2_000_000),
            n => n,
        };
        dictionary.buckets = if n_runs == 0 { 0 } else { buckets };
        dictionary.word_n_grams = self.settings.word_n_grams;
        dictionary.chars = (self.settings.chars[0], self.settings.chars[1]);
        Ok(Some(vocabulary))
    }

    /// The second reading: rows of what is learned from, texts of what is held out; both lie in `work`.
    pub(super) fn examples(
        &self,
        dictionary: &Dictionary,
        work: &Path,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<Option<(Examples, Counted)>, CorpusError> {
        create_folder(work)?;
        let numbers: FxHashMap<&str, u32> = dictionary.labels.iter().map(String::as_str).zip(0..).collect();
        let prepare = self.settings.prepare();
        let path = work.join("rows");
        let (mut file, mut held_out) =
            (AppendedFile::open_at(&path, 0)?, AppendedFile::open_at(&work.join(HELD_OUT), 0)?);
        let (mut starts, mut buffer, mut text, mut rows) = (vec![0u64], Vec::new(), String::new(), Vec::new());
        let counted = self.each("classifier: rows", observer, stop, |record, names, part| {
            let labels = names.iter().filter_map(|name| numbers.get(&name[..]).copied());
            if part == Use::Learn {
                let labels: Vec<u32> = labels.collect();
                prepare.write(&record.text, &mut text);
                dictionary.rows(&text, &mut rows);
                let all = [labels.len() as u32].into_iter().chain(labels).chain(rows.iter().copied());
                let before = buffer.len();
                buffer.extend(all.flat_map(u32::to_le_bytes));
                starts.push(starts[starts.len() - 1] + ((buffer.len() - before) / 4) as u64);
                if buffer.len() > 1 << 20 {
                    file.append(&buffer)?;
                    buffer.clear();
                }
                return Ok(());
            }
            let labels: Vec<usize> = labels.map(|label| label as usize).collect();
            // Labels that nothing is learned of cannot be given.
            if self.settings.choice == Choice::OneLabel && labels.is_empty() {
                return Ok(());
            }
            let language = record.string("language");
            let line = HeldOut { labels, language, text: record.text.clone(), calibrates: part == Use::Calibrate };
            let mut line = serde_json::to_vec(&line).unwrap_or_default();
            line.push(b'\n');
            Ok(held_out.append(&line)?)
        })?;
        let Some(counted) = counted else { return Ok(None) };
        file.append(&buffer)?;
        drop((file, held_out));
        Ok(Some((Examples { file: MappedFile::open(&path)?, starts }, counted)))
    }
}

const HELD_OUT: &str = "held_out.jsonl";

/// What is held out, for one purpose, one after the other.
pub(super) fn held_out(
    work: &Path,
    calibrates: bool,
) -> Result<impl Iterator<Item = Result<HeldOut, FileError>>, FileError> {
    let path = work.join(HELD_OUT);
    let file = File::open(&path).map_err(FileError::io("read", &path))?;
    let documents = BufReader::new(file).lines().map(move |line| {
        let line = line.map_err(FileError::io("read", &path))?;
        serde_json::from_str(&line).map_err(|error| FileError::content(&path, error.to_string()))
    });
    Ok(documents.filter(move |document: &Result<HeldOut, FileError>| {
        document.as_ref().map_or(true, |document| document.calibrates == calibrates)
    }))
}

/// A text, number, yes or no, or a list of them.
pub(crate) fn labels_of(record: &Record, field: &str) -> Option<Vec<String>> {
    use serde_json::Value;
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    match serde_json::from_str(record.get(field)?.get()).ok()? {
        Value::Array(values) => values.iter().map(one).collect(),
        value => one(&value).map(|label| vec![label]),
    }
}
