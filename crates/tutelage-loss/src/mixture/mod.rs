//! An [`Objective`] over the rows of a batch, as the engine's chunked linear-and-loss asks for it.

mod general;
mod own;
mod softmax;
mod tail;
mod target;

use tutelage_tensor::kernels::linear_loss::{LogitObjective, SoftmaxObjective};
use tutelage_tensor::simd::RowMath;

use self::target::Target;
use crate::{Objective, SparseTargets, Targets};

/// The objective of one batch.
#[derive(Debug, Clone, Copy)]
pub struct Mixture<'a> {
    /// The token after each row, negative where the row is not learned from.
    pub labels: &'a [i32],
    /// Sparse targets, if the teacher's are; a live teacher's logits come from the engine.
    pub sparse: Option<Sparse<'a>>,
    /// What is minimised.
    pub objective: Objective,
    /// What gradients are multiplied by: one over the learned tokens of the whole step.
    pub scale: f32,
    /// The same for the distance to the teacher: one over the rows of the whole step that are taught.
    pub taught_scale: f32,
}

/// Truncated targets.
#[derive(Debug, Clone, Copy)]
pub enum Sparse<'a> {
    /// Log-probabilities of the most likely entries.
    TopPK(&'a SparseTargets),
    /// How often entries were drawn.
    Samples(&'a SparseTargets),
}

/// Terms of a row, and sums of them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Terms {
    /// Cross-entropy with the text, with its weight.
    pub text: f64,
    /// Distance to the teacher with its weight, where the row is taught.
    pub teacher: f64,
    /// Cross-entropy with the text.
    pub lm: f64,
    /// Distance to the teacher, where the row is taught.
    pub kd: f64,
    /// `KL(t || q)` at temperature 1, whatever the objective.
    pub kl: f64,
    /// Taught rows.
    pub taught: f64,
}

impl Terms {
    /// How many.
    pub const N: usize = 6;

    /// From what the engine returns.
    ///
    /// # Panics
    /// When there are not [`Self::N`] sums.
    pub fn from_sums(sums: &[f64]) -> Self {
        let &[text, teacher, lm, kd, kl, taught] = sums else { panic!("{} sums of {}", sums.len(), Self::N) };
        Self { text, teacher, lm, kd, kl, taught }
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            text: self.text + other.text,
            teacher: self.teacher + other.teacher,
            lm: self.lm + other.lm,
            kd: self.kd + other.kd,
            kl: self.kl + other.kl,
            taught: self.taught + other.taught,
        }
    }

    fn write(self, sums: &mut [f64]) {
        sums.copy_from_slice(&[self.text, self.teacher, self.lm, self.kd, self.kl, self.taught]);
    }
}

/// Weights of one row's terms in the gradient.
#[derive(Debug, Clone, Copy)]
struct RowWeights {
    /// Of the cross-entropy with the text.
    text: f32,
    /// Of the distance, for its value.
    distance: f64,
    /// The same for its gradient with respect to tempered logits.
    gradient: f32,
    /// Whether the row is taught.
    is_taught: bool,
}

impl Sparse<'_> {
    fn is_empty(&self, row: usize) -> bool {
        let (Sparse::TopPK(rows) | Sparse::Samples(rows)) = self;
        rows.row(row).0.is_empty()
    }
}

impl<'a> Mixture<'a> {
    /// Cross-entropy with the text.
    pub fn text(labels: &'a [i32], scale: f32) -> Self {
        Self { labels, sparse: None, objective: Objective::TEXT, scale, taught_scale: scale }
    }

    /// The same objective with the sparse part of `targets`, if they are sparse.
    pub fn with_targets(self, targets: &'a Targets<'_>) -> Self {
        let sparse = match targets {
            Targets::Hard | Targets::Soft(_) => None,
            Targets::TopPK(sparse) => Some(Sparse::TopPK(sparse)),
            Targets::Samples(sparse) => Some(Sparse::Samples(sparse)),
        };
        Self { sparse, ..self }
    }

    fn label(&self, row: usize) -> Option<usize> {
        usize::try_from(self.labels[row]).ok()
    }

    /// Of a row whose teacher has this temperature.
    fn weights(&self, temperature: f32, is_taught: bool) -> RowWeights {
        let objective = &self.objective;
        let squared = if objective.temperature_squared { f64::from(temperature * temperature) } else { 1.0 };
        let distance = if is_taught { objective.teacher * squared } else { 0.0 };
        RowWeights {
            text: objective.text as f32 * self.scale,
            distance,
            gradient: distance as f32 * self.taught_scale,
            is_taught,
        }
    }

    /// The terms of a row with these values.
    fn terms_of(&self, weights: RowWeights, lm: f64, kd: f64, kl: f64) -> Terms {
        let kd = if weights.is_taught { kd } else { 0.0 };
        let taught = f64::from(u8::from(weights.is_taught));
        Terms { text: self.objective.text * lm, teacher: weights.distance * kd, lm, kd, kl, taught }
    }
}

impl LogitObjective for Mixture<'_> {
    fn n_terms(&self) -> usize {
        Terms::N
    }

    fn row(
        &self,
        math: RowMath,
        row: usize,
        logits_v: &mut [f32],
        teacher_logits_v: Option<&mut [f32]>,
        gradient: bool,
        terms: &mut [f64],
    ) {
        let Some(label) = self.label(row) else {
            logits_v.fill(0.0);
            return terms.fill(0.0);
        };
        let target = match (teacher_logits_v, self.sparse) {
            (Some(logits_v), _) => Target::Whole(logits_v),
            // A row without entries has no teacher.
            (None, Some(sparse)) if sparse.is_empty(row) => Target::None,
            (None, Some(sparse)) => Target::Kept(self.kept(sparse, row)),
            (None, None) => Target::None,
        };
        let found = match target {
            Target::None => self.text_row(math, label, logits_v, gradient),
            Target::Whole(teacher_v) if self.objective.divergence.is_of_own_tokens() => {
                self.own_token(math, label, logits_v, teacher_v, gradient)
            }
            _ if self.objective.rows_are_differences() => self.difference(math, label, logits_v, target, gradient),
            Target::Kept(kept) if self.objective.tail => self.with_tail(math, label, logits_v, &kept, gradient),
            target => self.general(math, label, logits_v, target, gradient),
        };
        found.write(terms);
    }

    fn as_softmax(&self, taught: bool) -> Option<&dyn SoftmaxObjective> {
        let is_text = !taught && self.sparse.is_none();
        // All rows of the form have the same weights.
        let is_whole = |sparse: Sparse<'_>| {
            let learned = |row: &usize| self.label(*row).is_some();
            !(0..self.labels.len()).filter(learned).any(|row| sparse.is_empty(row))
        };
        let is_taught = self.objective.has_softmax_form(taught) && self.sparse.is_none_or(is_whole);
        (is_text || is_taught).then_some(self)
    }
}
