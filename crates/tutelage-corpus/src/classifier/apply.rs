//! The stage `classify`: documents are given their label, and none is dropped. What decides by scores is the stage `quality`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Card, Classifier, ClassifierMemory, rounded};
use crate::job::{At, DocumentStage, Tally, value_of};
use crate::{CorpusError, Manifest, Reason, Record};

/// Settings of the stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassifierApplying {
    /// The model.
    pub model: PathBuf,
    /// Field that is given the most likely label, or the list of those that are likely, where each stands alone; the
    /// probability of the most likely is given to a field of this name and `_score`.
    pub name: String,
    /// Whether a field of that name and `_scores` is given the probability of every label.
    pub all_scores: bool,
}

impl Default for ClassifierApplying {
    fn default() -> Self {
        Self { model: PathBuf::new(), name: "label".to_owned(), all_scores: false }
    }
}

/// The stage, with its model read.
#[derive(Debug)]
pub struct Classify {
    settings: ClassifierApplying,
    model: Classifier,
}

impl Classify {
    /// Reads the model.
    ///
    /// # Errors
    /// When none is named, or it cannot be read.
    pub fn new(settings: ClassifierApplying) -> Result<Self, CorpusError> {
        if settings.model.as_os_str().is_empty() {
            return Err(CorpusError::request("no model: name one, as in --set model=toxic/model.bin"));
        }
        if settings.name.is_empty() {
            return Err(CorpusError::request("name = '': expected the field that is given the label"));
        }
        let model = Classifier::read(&settings.model)?;
        Ok(Self { settings, model })
    }
}

impl DocumentStage for Classify {
    type Worker = ClassifierMemory;

    fn name(&self) -> &'static str {
        "classify"
    }

    fn settings(&self) -> Value {
        let mut all = value_of(&self.settings);
        all["model_hash"] = json!(self.model.hash());
        all
    }

    fn worker(&self) -> ClassifierMemory {
        ClassifierMemory::default()
    }

    fn apply(
        &self,
        memory: &mut ClassifierMemory,
        record: &mut Record,
        _: At,
        tally: &mut Tally,
    ) -> Result<(), Reason> {
        let refused = self.model.card().zip(record.string("language"));
        if refused.is_some_and(|(card, language)| card.refuses(&language)) {
            tally.add("classify_refused_languages", 1);
            return Ok(());
        }
        let probabilities = self.model.probabilities(&record.text, memory);
        let names = self.model.labels();
        let Some((best, p)) = most_likely(&probabilities) else {
            tally.add("classify_nothing_known", 1);
            return Ok(());
        };
        let name = &self.settings.name;
        if self.model.is_independent() {
            let likely = names.iter().zip(&probabilities).filter(|(_, p)| **p >= 0.5).map(|(label, _)| label);
            let likely: Vec<&String> = likely.collect();
            likely.iter().for_each(|label| tally.add_named(format!("classify_{name}_{label}"), 1));
            record.note(name, &likely);
        } else {
            tally.add_named(format!("classify_{name}_{}", names[best]), 1);
            record.note(name, &names[best]);
        }
        record.note(&format!("{name}_score"), &rounded(f64::from(p)));
        if self.settings.all_scores {
            let scores = names.iter().zip(&probabilities);
            let scores: Map<String, Value> =
                scores.map(|(label, p)| (label.clone(), json!(rounded(f64::from(*p))))).collect();
            record.note(&format!("{name}_scores"), &scores);
        }
        Ok(())
    }

    fn warnings(&self, manifest: &Manifest) -> Vec<String> {
        let refused = manifest.counts.get("classify_refused_languages").zip(self.model.card());
        let warn = |(count, card): (&u64, &Card)| {
            format!(
                "{count} documents were given no label: the model does not agree with its validation set in {}",
                card.refused_names()
            )
        };
        refused.map(warn).into_iter().collect()
    }
}

/// The first of the largest; nothing if nothing is known.
fn most_likely(probabilities: &[f32]) -> Option<(usize, f32)> {
    let best = probabilities.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
    best.filter(|(_, p)| *p > 0.0)
}
