//! The stage `quality`: classifiers give documents scores, and thresholds decide.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::classifier::rounded;
use crate::job::{At, DocumentStage, Tally, value_of};
use crate::{Classifier, ClassifierMemory, CorpusError, Manifest, Reason, Record};

/// Settings of the stage `quality`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QualitySettings {
    /// The classifiers, each with what it decides.
    pub classifiers: Vec<ClassifierSettings>,
}

/// `[[classifiers]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierSettings {
    /// Name of the field that holds its score, and of what is counted.
    pub name: String,
    /// A model of fastText's form.
    pub model: PathBuf,
    /// The label whose probability is the score.
    pub label: String,
    /// Least score of what is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest score of what is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Codes of the languages that it is asked about; all if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
}

/// The stage, with its models read.
#[derive(Debug)]
pub struct Quality {
    settings: QualitySettings,
    /// Each model, and which of its labels.
    models: Vec<(Classifier, usize)>,
}

impl Quality {
    /// Reads the models.
    ///
    /// # Errors
    /// When one cannot be read or has no such label, or a threshold cannot be.
    pub fn new(settings: QualitySettings) -> Result<Self, CorpusError> {
        if settings.classifiers.is_empty() {
            return Err(CorpusError::request(
                "nothing to do: name classifiers, as in --set \
                 'classifiers=[{name=\"toxicity\",model=\"toxic.bin\",label=\"toxic\",max=0.5}]'",
            ));
        }
        let mut models = Vec::new();
        for (number, classifier) in settings.classifiers.iter().enumerate() {
            let fault = |found: String| CorpusError::request(format!("classifier '{}': {found}", classifier.name));
            if settings.classifiers[..number].iter().any(|before| before.name == classifier.name) {
                return Err(fault("there are two of this name".to_owned()));
            }
            let thresholds = [classifier.min, classifier.max].into_iter().flatten();
            if let Some(wrong) = thresholds.into_iter().find(|score| !(0.0..=1.0).contains(score)) {
                return Err(fault(format!("{wrong} is no score: expected a number from 0 to 1")));
            }
            let model = Classifier::read(&classifier.model)?;
            let label = model.labels().iter().position(|label| *label == classifier.label);
            let label = label.ok_or_else(|| {
                fault(format!("has no label '{}'; it has {}", classifier.label, model.labels().join(", ")))
            })?;
            if let Some((language, informedness)) = refused(&model, &classifier.languages) {
                return Err(fault(format!(
                    "is asked about '{language}', where it does not agree with its validation set (informedness {informedness:.2}): \
                     leave that language out of 'languages', or evaluate it on better documents with 'data classifier evaluate --set record=true'"
                )));
            }
            models.push((model, label));
        }
        Ok(Self { settings, models })
    }
}

impl DocumentStage for Quality {
    type Worker = ClassifierMemory;

    fn name(&self) -> &'static str {
        "quality"
    }

    fn settings(&self) -> Value {
        let mut all = value_of(&self.settings);
        all["model_hashes"] = self.models.iter().map(|(model, _)| json!(model.hash())).collect();
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
        let language = record.string("language");
        let mut is_kept = true;
        for (classifier, (model, label)) in self.settings.classifiers.iter().zip(&self.models) {
            let is_asked = classifier.languages.is_empty()
                || language.as_ref().is_some_and(|language| classifier.languages.contains(language));
            if !is_asked {
                tally.add_named(format!("quality_not_asked_{}", classifier.name), 1);
                continue;
            }
            if model.card().zip(language.as_ref()).is_some_and(|(card, language)| card.refuses(language)) {
                tally.add_named(format!("quality_refused_{}", classifier.name), 1);
                continue;
            }
            let score = f64::from(model.probabilities(&record.text, memory)[*label]);
            record.note(&classifier.name, &rounded(score));
            let below = classifier.min.is_some_and(|min| score < min);
            let above = classifier.max.is_some_and(|max| score > max);
            if below || above {
                tally.add_named(format!("quality_dropped_by_{}", classifier.name), 1);
                is_kept = false;
            }
        }
        if is_kept { Ok(()) } else { Err(Reason::Classifier) }
    }

    fn filters(&self, manifest: &Manifest) -> Vec<(String, u64)> {
        let decides =
            self.settings.classifiers.iter().filter(|classifier| classifier.min.is_some() || classifier.max.is_some());
        let of = |classifier: &ClassifierSettings| {
            (
                format!("classifier '{}'", classifier.name),
                manifest.counted(&format!("quality_dropped_by_{}", classifier.name)),
            )
        };
        decides.map(of).collect()
    }

    fn warnings(&self, manifest: &Manifest) -> Vec<String> {
        let mut warnings = Vec::new();
        for (classifier, (model, _)) in self.settings.classifiers.iter().zip(&self.models) {
            let name = &classifier.name;
            if manifest.counts.get(&format!("quality_not_asked_{name}")) == Some(&manifest.read) {
                warnings.push(format!(
                    "classifier '{name}' was asked about no document: none is in {} by its field 'language'",
                    classifier.languages.join(", ")
                ));
            }
            let refused = manifest.counts.get(&format!("quality_refused_{name}")).zip(model.card());
            warnings.extend(refused.map(|(count, card)| {
                format!(
                    "classifier '{name}' did not decide about {count} documents, in languages where it does not agree with its validation set: {}",
                    card.refused_names()
                )
            }));
        }
        warnings
    }
}

/// A language that the model is to decide in and may not.
fn refused<'m>(model: &'m Classifier, languages: &[String]) -> Option<(&'m str, f64)> {
    model.card()?.refused().find(|(refused, _)| languages.iter().any(|language| language == refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(classifiers: Value) -> QualitySettings {
        serde_json::from_value(json!({ "classifiers": classifiers })).unwrap()
    }

    fn model() -> &'static str {
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/classifier/softmax.bin")
    }

    #[test]
    fn scores_decide() {
        let asked = json!([
            {"name": "first", "model": model(), "label": "l1", "max": 0.5},
            {"name": "german", "model": model(), "label": "l2", "min": 0.99, "languages": ["de"]},
        ]);
        let quality = Quality::new(settings(asked)).unwrap();
        let mut memory = quality.worker();
        let (model, label) = &quality.models[0];
        let say = |line: &str, memory: &mut ClassifierMemory| {
            let mut record = Record::parse(line.as_bytes(), "text").unwrap();
            let verdict = quality.apply(memory, &mut record, At { unit: 0, index: 0 }, &mut Tally::default());
            (verdict, record.number("first").unwrap())
        };
        for text in ["the and of", "ab cd ef", "x"] {
            let score = f64::from(model.probabilities(text, &mut ClassifierMemory::default())[*label]);
            let (verdict, noted) = say(&json!({ "text": text }).to_string(), &mut memory);
            assert!((noted - score).abs() < 1e-4);
            assert_eq!(verdict.is_ok(), score <= 0.5);
        }
        // In German the second is asked too, and is never that certain.
        assert_eq!(say("{\"text\":\"the\",\"language\":\"de\"}", &mut memory).0, Err(Reason::Classifier));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |classifiers: Value| {
            let error = Quality::new(settings(classifiers)).unwrap_err();
            assert!(error.is_request());
            error.to_string()
        };
        let with =
            |name: &str, label: &str, max: f64| json!({"name": name, "model": model(), "label": label, "max": max});
        assert!(refused(json!([])).contains("nothing to do"));
        assert!(refused(json!([with("a", "bad", 0.5)])).contains("it has l"));
        assert!(refused(json!([with("a", "l1", 5.0)])).contains("5 is no score"));
        assert!(refused(json!([with("a", "l1", 0.5), with("a", "l2", 0.5)])).contains("two of this name"));
        assert!(refused(json!([{"name": "a", "model": "none.bin", "label": "l1"}])).contains("none.bin"));
    }
}
