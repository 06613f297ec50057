//! The stage `format`: pages become texts, texts are written in one way, languages are found, copies of a text are dropped.

mod extract;
mod language;
mod lines;
mod mojibake;
mod normalize;
mod settings;
#[cfg(test)]
mod tests;

pub use settings::{Focus, FormatSettings};

use std::borrow::Cow;
use std::path::Path;

use tutelage_run::{Observer, StopFlag, create_folder, hash_bytes, remove_folder, rename};

use crate::dedup::drop_exact_copies;
use crate::input::HTML_FIELD;
use crate::job::{At, Compression, DocumentStage, Job, JobSettings, Outcome, Tally, value_of};
use crate::manifest::add_counts;
use crate::{Classifier, ClassifierMemory, CorpusError, Manifest, Reason, Record};
use language::Finder;

/// The part of the stage that looks at each document alone.
#[derive(Debug)]
pub struct Format<'s> {
    settings: &'s FormatSettings,
    finder: Finder,
}

impl DocumentStage for Format<'_> {
    type Worker = ClassifierMemory;

    fn name(&self) -> &'static str {
        "format"
    }

    fn settings(&self) -> serde_json::Value {
        let mut all = value_of(self.settings);
        if let Finder::Model(model) = &self.finder {
            all["language_model_hash"] = serde_json::json!(model.hash());
        }
        all
    }

    fn worker(&self) -> ClassifierMemory {
        ClassifierMemory::default()
    }

    fn needs_text(&self) -> bool {
        false
    }

    fn filters(&self, manifest: &Manifest) -> Vec<(String, u64)> {
        let FormatSettings { languages, min_language_score, .. } = self.settings;
        manifest.dropped_by([
            (!languages.is_empty(), "languages", Reason::Language),
            (*min_language_score > 0.0, "min_language_score", Reason::LanguageScore),
        ])
    }

    fn apply(
        &self,
        memory: &mut ClassifierMemory,
        record: &mut Record,
        _: At,
        tally: &mut Tally,
    ) -> Result<(), Reason> {
        let settings = self.settings;
        if !record.has_text() {
            let html = record.string(HTML_FIELD).ok_or(Reason::NoText)?;
            let page = extract::main_text(&html, settings)?;
            record.remove(HTML_FIELD);
            record.set_text(page.text);
            if !page.title.is_empty() && record.get("title").is_none() {
                record.note("title", &page.title);
            }
            tally.add("format_pages", 1);
        }
        self.normalize(record, tally);
        if record.text.is_empty() || record.text.trim().is_empty() {
            return Err(Reason::Empty);
        }
        if settings.language {
            let (language, score) = self.finder.of(&record.text, memory);
            record.note("language", &language);
            record.note("language_score", &score);
            if !settings.languages.is_empty() && !settings.languages.contains(&language) {
                return Err(Reason::Language);
            }
            if score < settings.min_language_score {
                return Err(Reason::LanguageScore);
            }
        }
        if record.get("id").is_none() {
            let id = hash_bytes(record.text.as_bytes()).to_string();
            record.set("id", &id);
            tally.add("format_ids_given", 1);
        }
        Ok(())
    }
}

impl<'s> Format<'s> {
    /// Checks the settings.
    ///
    /// # Errors
    /// When one cannot be.
    pub fn new(settings: &'s FormatSettings) -> Result<Self, CorpusError> {
        let finder = match &settings.language_model {
            None => Finder::Letters,
            Some(path) => Finder::Model(Box::new(Classifier::read(path)?)),
        };
        settings.check(&finder)?;
        Ok(Self { settings, finder })
    }

    fn normalize(&self, record: &mut Record, tally: &mut Tally) {
        if self.settings.mojibake
            && let Some(text) = mojibake::repaired(&record.text)
        {
            tally.add("format_mojibake_repaired", 1);
            record.text = text;
        }
        if self.settings.nfc
            && let Cow::Owned(text) = normalize::nfc(&record.text)
        {
            tally.add("format_composed", 1);
            record.text = text;
        }
        if self.settings.whitespace {
            let text = normalize::whitespace(&record.text);
            tally.add("format_whitespace_changed", u64::from(text != record.text));
            record.text = text;
        }
    }
}

/// Carries out the stage, or goes on with it.
///
/// # Errors
/// When a setting cannot be, exact copies are to be dropped within a part of the inputs, an intermediate is damaged, or the
/// system refuses.
pub fn format(
    job: &Job<'_>,
    settings: &FormatSettings,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, CorpusError> {
    let stage = Format::new(settings)?;
    if !settings.exact_duplicates {
        return job.run(&stage, observer, stop);
    }
    if job.shard.is_part() {
        return Err(CorpusError::request(
            "--shard: a text may stand in several parts; set exact_duplicates=false, and after all parts are done \
             'tutelage data dedup --set method=exact' on their folder",
        ));
    }
    if let Some(outcome) = job.done(&stage, observer)? {
        return Ok(outcome);
    }
    let formatted = job.out.join(".formatted");
    let intermediate = JobSettings { compression: Compression::None, ..job.settings.clone() };
    let first = Job { out: &formatted, settings: &intermediate, ..*job };
    let Outcome::Done(found) = first.run(&stage, observer, stop)? else { return Ok(Outcome::Stopped) };
    let (inputs, finish) = ([formatted.clone()], |last: Manifest| together(&found, last, job));
    let outcome = drop_exact_copies(&Job { inputs: &inputs, ..*job }, finish, observer, stop)?;
    if matches!(outcome, Outcome::Done(_)) {
        keep_dropped(&formatted, job)?;
        remove_folder(&formatted)?;
    }
    Ok(outcome)
}

/// Moves what was dropped before copies were looked for to `dropped/first/`.
fn keep_dropped(formatted: &Path, job: &Job<'_>) -> Result<(), CorpusError> {
    let (from, to) = (formatted.join("dropped"), job.out.join("dropped/first"));
    if from.exists() {
        create_folder(&job.out.join("dropped"))?;
        rename(&from, &to)?;
    }
    Ok(())
}

/// The manifest of both parts.
fn together(first: &Manifest, last: Manifest, job: &Job<'_>) -> Manifest {
    let mut all = Manifest { read: first.read, kept: last.kept, outputs: last.outputs, ..first.clone() };
    add_counts(&mut all.dropped, &last.dropped);
    add_counts(&mut all.counts, &last.counts);
    if let Some(map) = all.settings.as_object_mut() {
        map.insert("compression".to_owned(), value_of(&job.settings.compression));
    }
    all
}
