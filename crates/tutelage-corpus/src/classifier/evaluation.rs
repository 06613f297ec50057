//! How far a classifier is right, by language: beside labels that are known.
//!
//! *Informedness* is the mean, over the labels that are there, of the share found of each, on a scale where chance is 0 and
//! always right is 1: `(r - 1/k) / (1 - 1/k)` for `k` labels. For two labels it is Youden's J (Youden, 1950). It does not grow
//! when one label is rare, and is there where a language has documents of one label only.
//!
//! *Calibration error* is that of Guo and others (1706.04599, eq. 3), with 15 bins of equal width.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What was found for some documents.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Documents.
    pub documents: u64,
    /// Share of decisions that are right.
    pub accuracy: f64,
    /// Agreement beyond chance, from -1 to 1.
    pub informedness: f64,
    /// Mean distance of confidence from the share that is right.
    pub calibration_error: f64,
    /// Mean negative logarithm of the probability of what is true, in nats.
    pub nll: f64,
    /// Each label's own.
    pub labels: BTreeMap<String, LabelScores>,
}

/// What was found for one label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LabelScores {
    /// Documents that have it.
    pub documents: u64,
    /// Of those it was given to, the share that has it.
    pub precision: f64,
    /// Of those that have it, the share it was given to.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
}

/// What a threshold on a label's probability would do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AtThreshold {
    /// The least probability.
    pub threshold: f64,
    /// Share of all documents at or above it.
    pub share: f64,
    /// Of those, the share that has the label.
    pub precision: f64,
    /// Of those that have the label, the share at or above it.
    pub recall: f64,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Every document.
    pub all: Scores,
    /// By language, where documents say theirs.
    pub languages: BTreeMap<String, Scores>,
    /// By label, for thresholds of 0.05 to 0.95.
    pub thresholds: BTreeMap<String, Vec<AtThreshold>>,
}

const BINS: usize = 15;
const STEPS: usize = 19;

/// What is counted for some documents.
#[derive(Debug, Clone)]
struct Counts {
    documents: u64,
    /// `[truth][decision]`.
    confusion: Vec<u64>,
    /// By bin of confidence: decisions, sum of confidence, right ones.
    bins: [(u64, f64, u64); BINS],
    nll: f64,
    decisions: u64,
    /// Of each label: true and given, given, true.
    labels: Vec<[u64; 3]>,
}

/// Documents whose labels are known, one after the other.
#[derive(Debug)]
pub(crate) struct Judge {
    labels: Vec<String>,
    /// Whether every label stands by itself, or one of them is chosen.
    independent: bool,
    all: Counts,
    languages: BTreeMap<String, Counts>,
    /// Of each label and step: true ones at or above, all at or above.
    steps: Vec<[(u64, u64); STEPS]>,
}

impl Counts {
    fn new(n_labels: usize, n_classes: usize) -> Self {
        Self {
            documents: 0,
            confusion: vec![0; n_classes * n_classes],
            bins: [(0, 0.0, 0); BINS],
            nll: 0.0,
            decisions: 0,
            labels: vec![[0; 3]; n_labels],
        }
    }

    fn decide(&mut self, n_classes: usize, truth: usize, decision: usize, confidence: f64, p_truth: f64) {
        self.confusion[truth * n_classes + decision] += 1;
        self.decisions += 1;
        let bin = &mut self.bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
        *bin = (bin.0 + 1, bin.1 + confidence, bin.2 + u64::from(truth == decision));
        // A probability of 0 that f32 rounded to is not certainty.
        self.nll -= p_truth.max(1e-12).ln();
    }

    fn scores(&self, names: &[String], n_classes: usize) -> Scores {
        let share = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f64 / of as f64 };
        let right: u64 = (0..n_classes).map(|class| self.confusion[class * n_classes + class]).sum();
        let recalls = (0..n_classes).filter_map(|class| {
            let of: u64 = self.confusion[class * n_classes..][..n_classes].iter().sum();
            (of > 0).then(|| share(self.confusion[class * n_classes + class], of))
        });
        let recalls: Vec<f64> = recalls.collect();
        let mean = recalls.iter().sum::<f64>() / recalls.len().max(1) as f64;
        let chance = 1.0 / n_classes as f64;
        let gap: f64 = self.bins.iter().map(|(_, sum, right)| (sum - *right as f64).abs()).sum();
        let n = self.decisions.max(1) as f64;
        let labels = names.iter().zip(&self.labels).map(|(name, &[both, given, documents])| {
            let (precision, recall) = (share(both, given), share(both, documents));
            let f1 = share(2 * both, given + documents);
            (name.clone(), LabelScores { documents, precision, recall, f1 })
        });
        Scores {
            documents: self.documents,
            accuracy: share(right, self.decisions),
            informedness: (mean - chance) / (1.0 - chance),
            calibration_error: gap / n,
            nll: self.nll / n,
            labels: labels.collect(),
        }
    }
}

impl Judge {
    pub(crate) fn new(labels: &[String], independent: bool) -> Self {
        let n_classes = if independent { 2 } else { labels.len() };
        Self {
            labels: labels.to_vec(),
            independent,
            all: Counts::new(labels.len(), n_classes),
            languages: BTreeMap::new(),
            steps: vec![[(0, 0); STEPS]; labels.len()],
        }
    }

    fn n_classes(&self) -> usize {
        if self.independent { 2 } else { self.labels.len() }
    }

    /// Takes one document: which labels it has, and what the model says of each.
    pub(crate) fn add(&mut self, language: Option<&str>, truth: &[usize], probabilities: &[f32]) {
        let n_classes = self.n_classes();
        let best = probabilities.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
        let best = best.map_or(0, |(label, _)| label);
        for (label, &p) in probabilities.iter().enumerate() {
            let is_true = truth.contains(&label);
            for (step, count) in self.steps[label].iter_mut().enumerate() {
                if f64::from(p) >= threshold(step) {
                    *count = (count.0 + u64::from(is_true), count.1 + 1);
                }
            }
        }
        let of_language = language.map(|language| {
            let new = || Counts::new(self.labels.len(), n_classes);
            self.languages.entry(language.to_owned()).or_insert_with(new)
        });
        for counts in [Some(&mut self.all), of_language].into_iter().flatten() {
            counts.documents += 1;
            for (label, &p) in probabilities.iter().enumerate() {
                let (p, is_true) = (f64::from(p), truth.contains(&label));
                let is_given = if self.independent { p >= 0.5 } else { label == best };
                let [both, given, documents] = &mut counts.labels[label];
                *both += u64::from(is_true && is_given);
                *given += u64::from(is_given);
                *documents += u64::from(is_true);
                if self.independent {
                    let p_truth = if is_true { p } else { 1.0 - p };
                    counts.decide(2, usize::from(is_true), usize::from(is_given), p.max(1.0 - p), p_truth);
                }
            }
            if !self.independent {
                // Exactly one label is true here.
                let label = truth[0];
                let p = |label: usize| f64::from(probabilities[label]);
                counts.decide(n_classes, label, best, p(best), p(label));
            }
        }
    }

    pub(crate) fn finish(&self) -> Evaluation {
        let n_classes = self.n_classes();
        let languages =
            self.languages.iter().map(|(name, counts)| (name.clone(), counts.scores(&self.labels, n_classes)));
        let thresholds = self.labels.iter().enumerate().map(|(label, name)| {
            let documents = self.all.labels[label][2];
            let at = self.steps[label].iter().enumerate().map(|(step, &(both, above))| AtThreshold {
                threshold: threshold(step),
                share: above as f64 / self.all.documents.max(1) as f64,
                precision: both as f64 / above.max(1) as f64,
                recall: both as f64 / documents.max(1) as f64,
            });
            (name.clone(), at.collect())
        });
        Evaluation {
            all: self.all.scores(&self.labels, n_classes),
            languages: languages.collect(),
            thresholds: thresholds.collect(),
        }
    }
}

fn threshold(step: usize) -> f64 {
    (step + 1) as f64 / (STEPS + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6, "{found} beside {expected}");
    }

    #[test]
    fn numbers_are_those_worked_out_by_hand() {
        let labels = ["bad".to_owned(), "good".to_owned()];
        let mut judge = Judge::new(&labels, false);
        // Four bad ones, of which three are found; two good ones, of which one is found.
        for (language, truth, p) in
            [("en", 0, 0.9), ("en", 0, 0.8), ("de", 0, 0.7), ("de", 0, 0.4), ("en", 1, 0.1), ("de", 1, 0.6)]
        {
            judge.add(Some(language), &[truth], &[p, 1.0 - p]);
        }
        let found = judge.finish();
        let all = &found.all;
        near(all.accuracy, 4.0 / 6.0);
        // Recalls 3/4 and 1/2: their mean is 0.625, and chance 0.5.
        near(all.informedness, 0.25);
        near(all.nll, -(0.9f64.ln() + 0.8f64.ln() + 0.7f64.ln() + 0.4f64.ln() + 0.9f64.ln() + 0.4f64.ln()) / 6.0);
        near(all.labels["bad"].precision, 3.0 / 4.0);
        near(all.labels["bad"].f1, 0.75);
        near(all.labels["good"].recall, 0.5);
        // Bins of a fifteenth: 0.9 twice, both right; 0.8 right; 0.7 right; 0.6 twice, both wrong.
        near(all.calibration_error, (0.2 + 0.2 + 0.3 + 1.2) / 6.0);
        near(found.languages["en"].informedness, 1.0);
        near(found.languages["de"].informedness, (0.25 - 0.5) * 2.0);
        let at = found.thresholds["bad"][12];
        near(at.threshold, 0.65);
        assert!((at.share, at.precision, at.recall) == (0.5, 1.0, 0.75));
    }

    #[test]
    fn labels_that_stand_alone_are_decisions_each() {
        let labels = ["ad".to_owned(), "rude".to_owned()];
        let mut judge = Judge::new(&labels, true);
        judge.add(None, &[0, 1], &[0.75, 0.25]);
        judge.add(None, &[], &[0.25, 0.25]);
        let all = judge.finish().all;
        // Two that are true, of which one is found; two that are not, of which both are.
        assert_eq!((all.documents, all.accuracy, all.informedness), (2, 0.75, 0.5));
        // Always certain to 0.75, and right that often.
        near(all.calibration_error, 0.0);
        assert!(judge.finish().languages.is_empty());
    }

    #[test]
    fn a_language_of_one_label_is_judged_by_it() {
        let labels = ["a".to_owned(), "b".to_owned()];
        let mut judge = Judge::new(&labels, false);
        (0..10).for_each(|i| judge.add(Some("x"), &[0], &if i < 9 { [0.9, 0.1] } else { [0.1, 0.9] }));
        near(judge.finish().languages["x"].informedness, 0.8);
    }
}
