//! A model beside documents whose labels are known.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tutelage_run::{Event, Observer, write_json};

use super::card::Card;
use super::evaluation::Judge;
use super::train::{ClassifierTraining, labels_of};
use super::{Classifier, ClassifierMemory};
use crate::job::JobSettings;
use crate::look::documents;
use crate::{CorpusError, Record};

/// How a model is evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassifierEvaluating {
    /// Field that holds a document's label, or a list of its labels.
    pub label_field: String,
    /// Least informedness in a language whose documents the model may decide about.
    pub min_informedness: f64,
    /// Documents of a language from which on that counts.
    pub min_documents: u64,
    /// Whether what is found becomes the model's card, by which it is believed from then on.
    pub record: bool,
}

impl Default for ClassifierEvaluating {
    fn default() -> Self {
        let ClassifierTraining { label_field, min_informedness, min_documents, .. } = ClassifierTraining::default();
        Self { label_field, min_informedness, min_documents, record: false }
    }
}

/// Evaluates a model; with `record` what is found lies beside it from then on.
///
/// # Errors
/// When the model or the documents cannot be read, or none has a label that the model knows.
pub fn evaluate_classifier(
    model: &Path,
    inputs: &[PathBuf],
    job: &JobSettings,
    settings: &ClassifierEvaluating,
    observer: &mut dyn Observer,
) -> Result<Card, CorpusError> {
    let classifier = Classifier::read(model)?;
    let begun = std::time::Instant::now();
    observer.event(&Event::StageStarted { stage: "evaluate", detail: "reading", total: None, done: 0 });
    let mut judge = Judge::new(classifier.labels(), classifier.is_independent());
    let mut memory = ClassifierMemory::default();
    let (mut read, mut without, mut unknown) = (0u64, 0u64, 0u64);
    let mut strange = None;
    for found in documents(inputs, job)? {
        let Ok(record) = found?.record.and_then(Record::with_text) else {
            without += 1;
            continue;
        };
        read += 1;
        if read % 10_000 == 0 {
            observer.event(&Event::Progress { done: read, note: &format!("{read} documents") });
        }
        let Some(names) = labels_of(&record, &settings.label_field) else {
            without += 1;
            continue;
        };
        let number = |name: &String| classifier.labels().iter().position(|label| label == name);
        let labels: Vec<usize> = names.iter().filter_map(number).collect();
        let fits = labels.len() == names.len() && (classifier.is_independent() || labels.len() == 1);
        if !fits {
            unknown += 1;
            strange.get_or_insert(names.join(", "));
            continue;
        }
        let language = record.string("language");
        judge.add(language.as_deref(), &labels, &classifier.probabilities(&record.text, &mut memory));
    }
    let evaluation = judge.finish();
    if evaluation.all.documents == 0 {
        let strange = strange.map_or(String::new(), |names| format!("; {unknown} have others, such as '{names}'"));
        return Err(CorpusError::request(format!(
            "no document has in its field '{}' what the model has as labels ({}){strange}",
            settings.label_field,
            classifier.labels().join(", ")
        )));
    }
    for (count, what) in [(without, "without a label"), (unknown, "with labels that the model has not")] {
        if count > 0 {
            observer.event(&Event::Note(&format!("warning: {count} documents {what} were left out")));
        }
    }
    let card = Card {
        format: Card::FORMAT.to_owned(),
        model: classifier.hash().clone(),
        prepare: classifier.prepare,
        min_informedness: settings.min_informedness,
        min_documents: settings.min_documents,
        evaluation,
    };
    if settings.record {
        write_json(&Card::path(model), &card)?;
    }
    let result = format!("{} documents", card.evaluation.all.documents);
    observer.event(&Event::StageFinished {
        stage: "evaluate",
        result: &result,
        seconds: begun.elapsed().as_secs_f64(),
    });
    Ok(card)
}
