//! The numbers of a step.

use serde::{Deserialize, Serialize};
use tutelage_loss::Terms;
use tutelage_loss::features::FeatureKind;

/// Means over the learned tokens of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// What is minimised.
    pub loss: f64,
    /// Cross-entropy with the text, over the rows of text.
    pub lm: f64,
    /// Distance to the teacher, over the rows that are taught.
    pub kd: f64,
    /// `KL(t || q)` at temperature 1, whatever the objective, over all rows.
    pub kl: f64,
    /// Share of the rows that are taught.
    pub taught: f64,
    /// Share of the rows whose labels the student wrote itself.
    #[serde(default)]
    pub own: f64,
    /// Share of the rows whose labels are text: the rest, if there are any rows.
    #[serde(default)]
    pub text: f64,
    /// What is compared inside of student and teacher, in the order of [`FeatureKind::ALL`], without weights.
    #[serde(default)]
    pub features: [f64; FeatureKind::N],
}

/// Sums over some rows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums {
    pub(crate) rows: usize,
    pub(crate) terms: Terms,
}

impl Sums {
    pub(crate) fn add(&mut self, rows: usize, terms: Terms) {
        self.rows += rows;
        self.terms = self.terms.plus(terms);
    }
}

impl Losses {
    /// From the rows of text, and those whose labels the student wrote.
    pub(crate) fn new(text: Sums, own: Sums, taught_scale: f32) -> Self {
        let all = text.terms.plus(own.terms);
        let n = (text.rows + own.rows).max(1) as f64;
        Self {
            loss: all.text / n + all.teacher * f64::from(taught_scale),
            lm: text.terms.lm / text.rows.max(1) as f64,
            kd: all.kd / all.taught.max(1.0),
            kl: all.kl / n,
            taught: all.taught / n,
            own: own.rows as f64 / n,
            text: text.rows as f64 / n,
            features: [0.0; FeatureKind::N],
        }
    }

    /// Each number of two.
    pub(crate) fn zip(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            loss: f(self.loss, other.loss),
            lm: f(self.lm, other.lm),
            kd: f(self.kd, other.kd),
            kl: f(self.kl, other.kl),
            taught: f(self.taught, other.taught),
            own: f(self.own, other.own),
            text: f(self.text, other.text),
            features: std::array::from_fn(|i| f(self.features[i], other.features[i])),
        }
    }
}
