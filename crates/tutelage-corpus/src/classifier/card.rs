//! What stands beside a model: how its texts are written, and how far it may be believed.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tutelage_run::{FileError, Hash, read_json};

use super::evaluation::Evaluation;
use super::prepare::Prepare;
use crate::CorpusError;

/// `NAME.json` beside `NAME.bin`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Always `tutelage-classifier-1`.
    pub format: String,
    /// Hash of the model's file.
    pub model: Hash,
    /// How texts are written before it reads them.
    pub prepare: Prepare,
    /// Least informedness in a language whose documents it may decide about.
    pub min_informedness: f64,
    /// Documents of a language from which on its informedness counts.
    pub min_documents: u64,
    /// What was found beside known labels.
    pub evaluation: Evaluation,
}

impl Card {
    pub(crate) const FORMAT: &str = "tutelage-classifier-1";

    /// Where a model's card lies.
    pub fn path(model: &Path) -> PathBuf {
        model.with_extension("json")
    }

    /// The card of a model that has one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn beside(model: &Path) -> Result<Self, CorpusError> {
        Ok(read_json(&Self::path(model))?)
    }

    /// The card of a model, if it has one.
    ///
    /// # Errors
    /// When it cannot be read, or is that of another model.
    pub(crate) fn of(model: &Path, hash: &Hash) -> Result<Option<Self>, FileError> {
        let path = Self::path(model);
        if !path.exists() {
            return Ok(None);
        }
        let card: Self = read_json(&path)?;
        if card.format != Self::FORMAT {
            let found = format!("has the format '{}' where '{}' is read", card.format, Self::FORMAT);
            return Err(FileError::content(&path, found));
        }
        if card.model != *hash {
            let found = format!(
                "is not about {}: that file was changed since; put back the one that belongs to it, or remove the card of a model that is not of our making",
                model.display()
            );
            return Err(FileError::content(&path, found));
        }
        Ok(Some(card))
    }

    /// Languages in which it does not agree with its validation set, and how far it does.
    pub fn refused(&self) -> impl Iterator<Item = (&str, f64)> {
        let languages = self.evaluation.languages.iter();
        let refused = languages.filter(|(_, scores)| {
            scores.documents >= self.min_documents && scores.informedness < self.min_informedness
        });
        refused.map(|(language, scores)| (&language[..], scores.informedness))
    }

    /// The names of these languages, in a row.
    pub(crate) fn refused_names(&self) -> String {
        self.refused().map(|(language, _)| language).collect::<Vec<_>>().join(", ")
    }

    /// Whether documents of the language are not its to decide about.
    pub fn refuses(&self, language: &str) -> bool {
        self.refused().any(|(refused, _)| refused == language)
    }
}
