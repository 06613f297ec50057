//! What training can be told.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::CorpusError;
use crate::classifier::prepare::Prepare;

/// How labels are decided between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// A document has one label.
    OneLabel,
    /// Each label by itself: a document may have several, or none.
    AnyLabels,
}

/// Settings of `data classifier train`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassifierTraining {
    /// Field that holds a document's label, or a list of its labels.
    pub label_field: String,
    /// Documents whose label is where they come from: files and folders, by label.
    pub labels: BTreeMap<String, Vec<PathBuf>>,
    /// Whether a document has one label, or any of them.
    pub choice: Choice,
    /// Width of a word's vector.
    pub dim: usize,
    /// How often each document is seen.
    pub epochs: u32,
    /// Learning rate at the start; it falls to 0 along a line.
    pub lr: f64,
    /// Words of a run, at most, that has a vector of its own.
    pub word_n_grams: usize,
    /// Characters of a part of a word that has a vector of its own, at least and at most; none if the most is 0.
    pub chars: [usize; 2],
    /// Vectors that runs and parts of words share; 0 for as many as there are runs, up to two million.
    pub buckets: usize,
    /// How often a word is seen, at least, to have a vector.
    pub min_count: u64,
    /// Letters in lower case.
    pub lowercase: bool,
    /// Punctuation apart from words.
    pub split_punctuation: bool,
    /// Characters of scripts without spaces apart from each other.
    pub split_scripts: bool,
    /// Share of documents that are not learned from: half of them for calibration, half for evaluation.
    pub held_out: f64,
    /// Documents for calibration and evaluation in their place.
    pub validation: Vec<PathBuf>,
    /// Whether probabilities are brought to where they say how often they are right.
    pub calibrate: bool,
    /// Least informedness in a language whose documents the classifier may decide about.
    pub min_informedness: f64,
    /// Held-out documents of a language from which on that counts.
    pub min_documents: u64,
    /// Of first weights and order.
    pub seed: u64,
}

impl Default for ClassifierTraining {
    fn default() -> Self {
        Self {
            label_field: "label".to_owned(),
            labels: BTreeMap::new(),
            choice: Choice::OneLabel,
            dim: 16,
            epochs: 5,
            lr: 0.5,
            word_n_grams: 2,
            chars: [0, 0],
            buckets: 0,
            min_count: 1,
            lowercase: true,
            split_punctuation: true,
            split_scripts: true,
            held_out: 0.1,
            validation: Vec::new(),
            calibrate: true,
            min_informedness: 0.5,
            min_documents: 30,
            seed: 1,
        }
    }
}

impl ClassifierTraining {
    pub(super) fn prepare(&self) -> Prepare {
        let Self { lowercase, split_punctuation, split_scripts, .. } = *self;
        Prepare { lowercase, split_punctuation, split_scripts }
    }

    pub(super) fn check(&self) -> Result<(), CorpusError> {
        let wrong = |name: &str, found: String, expected: &str| {
            Err(CorpusError::request(format!("{name} = {found}: expected {expected}")))
        };
        let fits = |n: usize, most: usize| (1..=most).contains(&n);
        if !fits(self.dim, 1024) {
            return wrong("dim", self.dim.to_string(), "1 to 1024");
        }
        if !fits(self.epochs as usize, 10_000) {
            return wrong("epochs", self.epochs.to_string(), "1 to 10000");
        }
        if !(self.lr > 0.0 && self.lr <= 100.0) {
            return wrong("lr", self.lr.to_string(), "a number above 0, at most 100");
        }
        if !fits(self.word_n_grams, 10) {
            return wrong("word_n_grams", self.word_n_grams.to_string(), "1 to 10");
        }
        let [least, most] = self.chars;
        if most > 20 || least > most || (most > 0 && least == 0) {
            return wrong("chars", format!("[{least}, {most}]"), "two numbers such as [2, 4], or [0, 0] for none");
        }
        if self.buckets > 1 << 28 {
            return wrong("buckets", self.buckets.to_string(), "at most 268435456");
        }
        if !(0.0..=0.9).contains(&self.held_out) {
            return wrong("held_out", self.held_out.to_string(), "0 to 0.9");
        }
        if !(-1.0..=1.0).contains(&self.min_informedness) {
            return wrong("min_informedness", self.min_informedness.to_string(), "-1 to 1");
        }
        Ok(())
    }
}
