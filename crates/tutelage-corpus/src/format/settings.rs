//! The settings of the stage.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::language::Finder;
use crate::CorpusError;

/// Settings of the stage `format`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FormatSettings {
    /// What matters where it is not clear whether something belongs to the text of a page.
    pub focus: Focus,
    /// Largest page, in bytes.
    pub max_html_bytes: usize,
    /// Most elements within each other; deeper pages are made to break readers.
    pub max_html_depth: usize,
    /// Whether text that was decoded in the wrong way is repaired.
    pub mojibake: bool,
    /// Whether the text is brought to Unicode's form NFC.
    pub nfc: bool,
    /// Whether controls are taken out, line ends and spaces made one kind, and blank lines few.
    pub whitespace: bool,
    /// Whether the language is found, and noted as `language` and `language_score`.
    pub language: bool,
    /// A model of fastText's form that finds it, such as lid.176 or GlotLID; the languages are its labels.
    pub language_model: Option<PathBuf>,
    /// Codes of the languages that are kept; all if there are none.
    pub languages: Vec<String>,
    /// Least certainty of the language, from 0 to 1, of what is kept.
    pub min_language_score: f64,
    /// Whether of documents with the same text one is kept.
    pub exact_duplicates: bool,
}

/// `focus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Focus {
    /// That nothing else is in it.
    Precision,
    /// Both.
    Balanced,
    /// That nothing is missing.
    Recall,
}

impl Default for FormatSettings {
    fn default() -> Self {
        Self {
            focus: Focus::Precision,
            max_html_bytes: 8 << 20,
            max_html_depth: 500,
            mojibake: true,
            nfc: true,
            whitespace: true,
            language: true,
            language_model: None,
            languages: Vec::new(),
            min_language_score: 0.0,
            exact_duplicates: true,
        }
    }
}

impl FormatSettings {
    /// Whether they can be.
    pub(super) fn check(&self, finder: &Finder) -> Result<(), CorpusError> {
        let wrong = |found: String| Err(CorpusError::request(found));
        if !(0.0..=1.0).contains(&self.min_language_score) {
            return wrong(format!("min_language_score = {}: expected a number from 0 to 1", self.min_language_score));
        }
        if self.language_model.is_some() && !self.language {
            return wrong("language_model needs language = true".to_owned());
        }
        let chooses = !self.languages.is_empty() || self.min_language_score > 0.0;
        if chooses && !self.language {
            return wrong("languages and min_language_score need language = true".to_owned());
        }
        let known = finder.languages();
        if let Some(unknown) = self.languages.iter().find(|code| !known.contains(&&code[..])) {
            let known = known.join(", ");
            return wrong(format!("languages: '{unknown}' is not found by this stage, which knows {known}"));
        }
        Ok(())
    }
}
