//! The stage `decontaminate`: what stands in evaluation sets is taken out of the training text.

mod index;
mod sets;

use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::job::{At, DocumentStage, Tally, value_of};
use crate::words::word_hashes;
use crate::{CorpusError, Manifest, Reason, Record};
use index::{Index, Source};

/// Settings of the stage `decontaminate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecontaminateSettings {
    /// Evaluation sets: files (JSONL, JSON, tables, texts) or folders of them.
    pub sets: Vec<PathBuf>,
    /// Fields of their objects; all texts if there are none.
    pub fields: Vec<String>,
    /// Words of a run that is compared.
    pub n_gram: usize,
    /// Fewest words of an item that is shorter than a run: it is looked for as a whole.
    pub min_item_words: usize,
    /// What is taken out.
    pub remove: Remove,
    /// Fewest runs of a set for which a document is dropped, or anything is cut out of it.
    pub min_runs: usize,
    /// Words around what is cut out that go with it.
    pub context_words: usize,
    /// Fewest characters that have to be left of a document that something was cut out of.
    pub min_left_chars: usize,
}

/// `remove`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remove {
    /// The document.
    Document,
    /// The words that stand in the set, and some around them.
    Span,
}

impl Default for DecontaminateSettings {
    fn default() -> Self {
        Self {
            sets: Vec::new(),
            fields: Vec::new(),
            n_gram: 13,
            min_item_words: 8,
            remove: Remove::Document,
            min_runs: 1,
            context_words: 30,
            min_left_chars: 200,
        }
    }
}

/// The stage, with its sets read.
#[derive(Debug)]
pub struct Decontaminate {
    settings: DecontaminateSettings,
    index: Index,
}

/// Memory of one thread.
#[derive(Debug, Default)]
pub struct DecontaminateWorker {
    hashes: Vec<u64>,
    places: Vec<Range<usize>>,
    /// Words that stand in a set, and where they stand there.
    found: Vec<(Range<usize>, Source)>,
}

impl Decontaminate {
    /// Reads the sets.
    ///
    /// # Errors
    /// When one cannot be read or has no text, there is none, or a setting cannot be.
    pub fn new(settings: DecontaminateSettings) -> Result<Self, CorpusError> {
        if settings.sets.is_empty() {
            let found = "nothing to compare with: name evaluation sets, as in --set 'sets=[\"eval/gsm8k.jsonl\"]'";
            return Err(CorpusError::request(found));
        }
        for (name, value) in
            [("n_gram", settings.n_gram), ("min_item_words", settings.min_item_words), ("min_runs", settings.min_runs)]
        {
            if value == 0 {
                return Err(CorpusError::request(format!("{name} = 0: expected 1 or more")));
            }
        }
        let index = Index::new(&settings)?;
        Ok(Self { settings, index })
    }

    /// What stands in sets, joined where it overlaps; nothing if it is less than asked for.
    fn find<'w>(&self, worker: &'w mut DecontaminateWorker, text: &str) -> &'w [(Range<usize>, Source)] {
        let DecontaminateWorker { hashes, places, found } = worker;
        hashes.clear();
        places.clear();
        found.clear();
        word_hashes(text, |hash, place| {
            hashes.push(hash);
            places.push(place);
        });
        let mut runs = 0;
        self.index.find(hashes, self.settings.n_gram, |at, len, source| {
            runs += 1;
            found.push((at..at + len, source));
        });
        if runs < self.settings.min_runs {
            found.clear();
        }
        found.sort_by_key(|(words, _)| words.start);
        found.dedup_by(|next, before| {
            let joins = next.0.start <= before.0.end && (next.1.set, next.1.file) == (before.1.set, before.1.file);
            if joins {
                before.0.end = before.0.end.max(next.0.end);
            }
            joins
        });
        found
    }

    /// What is noted of a document: which sets, files and items, and the words.
    fn notes(&self, worker: &DecontaminateWorker, text: &str) -> Vec<Value> {
        let shown = worker.found.iter().take(10);
        let note = |(words, source): &(Range<usize>, Source)| {
            let bytes = worker.places[words.start].start..worker.places[words.end - 1].end;
            json!({
                "set": self.index.sets[source.set as usize],
                "file": self.index.files[source.file as usize].0.display().to_string(),
                "item": source.item,
                "words": text[bytes].chars().take(300).collect::<String>(),
            })
        };
        shown.map(note).collect()
    }

    /// The text without what stands in sets.
    fn cut(&self, worker: &DecontaminateWorker, text: &str) -> String {
        let around = self.settings.context_words;
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for (words, _) in &worker.found {
            let start = worker.places[words.start.saturating_sub(around)].start;
            let end = worker.places[(words.end - 1 + around).min(worker.places.len() - 1)].end;
            if start > from {
                keep(&mut out, &text[from..start]);
            }
            from = from.max(end);
        }
        keep(&mut out, &text[from..]);
        out
    }
}

/// Appends a part that is left, on a line of its own.
fn keep(out: &mut String, part: &str) {
    let part = part.trim();
    if part.chars().any(char::is_alphanumeric) {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(part);
    }
}

impl DocumentStage for Decontaminate {
    type Worker = DecontaminateWorker;

    fn name(&self) -> &'static str {
        "decontaminate"
    }

    fn settings(&self) -> Value {
        let mut all = value_of(&self.settings);
        let hashes = self.index.files.iter().map(|(path, hash)| (path.display().to_string(), json!(hash)));
        all["set_hashes"] = Value::Object(hashes.collect());
        all
    }

    fn worker(&self) -> DecontaminateWorker {
        DecontaminateWorker::default()
    }

    fn apply(
        &self,
        worker: &mut DecontaminateWorker,
        record: &mut Record,
        _: At,
        tally: &mut Tally,
    ) -> Result<(), Reason> {
        if self.find(worker, &record.text).is_empty() {
            return Ok(());
        }
        let mut sets: Vec<u32> = worker.found.iter().map(|(_, source)| source.set).collect();
        sets.sort_unstable();
        sets.dedup();
        for set in sets {
            tally.add_named(format!("contaminated_by_{}", self.index.sets[set as usize]), 1);
        }
        record.note("contamination", &self.notes(worker, &record.text));
        if self.settings.remove == Remove::Document {
            return Err(Reason::Contaminated);
        }
        let text = self.cut(worker, &record.text);
        if text.chars().count() < self.settings.min_left_chars {
            return Err(Reason::Contaminated);
        }
        tally.add("decontaminate_spans_cut", worker.found.len() as u64);
        record.text = text;
        Ok(())
    }

    fn filters(&self, manifest: &Manifest) -> Vec<(String, u64)> {
        let found = |set: &String| manifest.counted(&format!("contaminated_by_{set}"));
        vec![("evaluation sets".to_owned(), self.index.sets.iter().map(found).sum())]
    }

    fn warnings(&self, _: &Manifest) -> Vec<String> {
        let Index { items, too_short, .. } = self.index;
        match too_short {
            0 => Vec::new(),
            _ => vec![format!(
                "{too_short} of {items} items of the sets have fewer than {} words and were not looked for (min_item_words)",
                self.settings.min_item_words
            )],
        }
    }
}

#[cfg(test)]
mod tests {
    use tutelage_testkit::Scratch;

    use super::*;

    const QUESTION: &str =
        "A train leaves the town at noon and goes sixty miles an hour; when is it there, if the way is long?";

    fn stage(name: &str, settings: Value) -> Decontaminate {
        let folder = Scratch::new(name);
        let path = folder.join("test.jsonl");
        std::fs::write(
            &path,
            format!(
                "{}\n{}\n{}\n",
                json!({"q": "x"}),
                json!({"q": QUESTION, "a": "at six"}),
                json!({"q": "How many legs do nine spiders have together?"})
            ),
        )
        .unwrap();
        let mut all = settings;
        all["sets"] = json!([path]);
        Decontaminate::new(serde_json::from_value(all).unwrap()).unwrap()
    }

    fn say(stage: &Decontaminate, text: &str) -> (Result<String, Reason>, Option<Value>) {
        let mut record = Record::new("text", text.to_owned());
        let verdict = stage.apply(&mut stage.worker(), &mut record, At { unit: 0, index: 0 }, &mut Tally::default());
        let notes = record.get("contamination").map(|notes| serde_json::from_str(notes.get()).unwrap());
        (verdict.map(|()| record.text), notes)
    }

    #[test]
    fn documents_with_an_item_are_dropped_and_said_why() {
        let stage = stage("decontaminate-documents", json!({}));
        let clean = "A train leaves the town at noon, as trains do, and nobody knows when it will be there.";
        assert_eq!(say(&stage, clean), (Ok(clean.to_owned()), None));
        // Other case, punctuation and line breaks are the same words.
        let (verdict, notes) =
            say(&stage, &format!("Homework.\n{}\nThanks!", QUESTION.to_uppercase().replace(' ', "\n")));
        assert_eq!(verdict, Err(Reason::Contaminated));
        let notes = notes.unwrap();
        assert_eq!((&notes[0]["set"], &notes[0]["item"]), (&json!("test"), &json!(2)));
        assert!(notes[0]["words"].as_str().unwrap().starts_with("A\nTRAIN"));
        // Short items are looked for as a whole.
        assert!(say(&stage, "Q: how many legs do nine spiders have together?").0.is_err());
        assert!(say(&stage, "How many legs do nine spiders have?").0.is_ok());
        assert!(stage.warnings(&Manifest::default())[0].contains("1 of 3 items"));
    }

    #[test]
    fn spans_are_cut_and_the_rest_is_kept() {
        let stage = stage("decontaminate-spans", json!({"remove": "span", "context_words": 2, "min_left_chars": 20}));
        let text = format!(
            "The first part of this stays here. So asks one: {QUESTION} Nobody knows. The last part stays too."
        );
        let (verdict, _) = say(&stage, &text);
        assert_eq!(verdict.unwrap(), "The first part of this stays here. So\n. The last part stays too.");
        assert_eq!(say(&stage, &format!("One asks: {QUESTION}")).0, Err(Reason::Contaminated));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |settings: Value| {
            let error = Decontaminate::new(serde_json::from_value(settings).unwrap()).unwrap_err();
            assert!(error.is_request());
            error.to_string()
        };
        assert!(refused(json!({})).contains("nothing to compare"));
        assert!(refused(json!({"sets": ["missing.jsonl"]})).contains("missing.jsonl"));
        assert!(refused(json!({"sets": ["x"], "n_gram": 0})).contains("n_gram = 0"));
    }
}
