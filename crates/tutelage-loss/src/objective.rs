//! What a step minimises: weights, a distance, temperatures.

use crate::{Divergence, StudentTemperature, Temperature};

/// `text L_lm + teacher L_kd`, with `(1 - alpha, alpha)` for the weights as a special case (2410.16215, equation 1).
///
/// Departures: the student's temperature need not be 1; `temperature_squared` multiplies `L_kd` by the square of the
/// teacher's temperature (1503.02531, section 2). Both are off in the paper.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// Weight of the cross-entropy with the text, where there is a teacher; 1 where there is none.
    pub text: f64,
    /// Weight of the distance to the teacher.
    pub teacher: f64,
    /// Which distance.
    pub divergence: Divergence,
    /// Temperature of the teacher's distribution (counts are not tempered).
    pub temperature: Temperature,
    /// Temperature of the student's distribution in the distance.
    pub student_temperature: StudentTemperature,
    /// Whether the distance is multiplied by the square of the teacher's temperature.
    pub temperature_squared: bool,
    /// Whether a truncated target has one more class, of all that was not kept, on both sides; else what was kept is
    /// renormalised.
    pub tail: bool,
    /// Whether only rows are taught whose label the teacher finds most likely (guided distillation: 2006.01683, section 3.2).
    /// The distance is then a mean over those rows.
    pub guided: bool,
}

/// What a teacher's targets are, for [`Objective::check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// The whole distribution.
    Whole,
    /// Its most likely entries.
    TopPK,
    /// Counts of draws from it.
    Samples,
}

impl Objective {
    /// Nothing but the text.
    pub const TEXT: Self = Self {
        text: 1.0,
        teacher: 0.0,
        divergence: Divergence::ForwardKl,
        temperature: Temperature::Fixed(1.0),
        student_temperature: StudentTemperature::Fixed(1.0),
        temperature_squared: false,
        tail: false,
        guided: false,
    };

    /// `(1 - alpha) L_lm + alpha KL(t || q)`.
    pub fn mix(alpha: f64) -> Self {
        Self { text: 1.0 - alpha, teacher: alpha, ..Self::TEXT }
    }

    /// Why the objective is none with such targets, if it is none.
    ///
    /// # Errors
    /// Says which two settings do not go together, and what to choose instead.
    pub fn check(&self, targets: TargetKind) -> Result<(), &'static str> {
        let is_plain = self.temperature == Temperature::Fixed(1.0);
        let truncated = targets != TargetKind::Whole;
        if self.divergence.is_of_own_tokens() {
            let same = self.student_temperature == StudentTemperature::Fixed(1.0);
            if truncated {
                return Err(
                    "sampled_reverse_kl asks how likely the very token is that was drawn, which truncated targets need \
                            not have; choose a live teacher",
                );
            }
            if !is_plain || !same || self.temperature_squared || self.guided || self.tail {
                return Err(
                    "sampled_reverse_kl is an estimate at temperature 1 over all tokens that were drawn: without other \
                            temperatures, guided or tail",
                );
            }
        }
        if targets == TargetKind::Samples {
            if !is_plain {
                return Err("samples are drawn at temperature 1, so the teacher's temperature cannot be another");
            }
            if !self.divergence.is_linear() {
                return Err(
                    "counts of samples stand for the teacher's probabilities only where the gradient is linear in \
                            them, as in forward_kl, nll and mse; for this divergence choose top_p and top_k, or a live \
                            teacher",
                );
            }
        }
        if self.tail {
            if targets != TargetKind::TopPK {
                return Err(
                    "tail is for targets that keep the most likely entries (top_p and top_k): others miss nothing",
                );
            }
            if !is_plain {
                return Err("the tail's mass is known at temperature 1 alone; set temperature = 1, or tail = false");
            }
            if self.divergence == Divergence::LogitMse {
                return Err("the tail has no logit; choose another divergence, or tail = false");
            }
        }
        if truncated && !self.tail && self.divergence.needs_whole_support() {
            return Err(
                "this divergence is infinite where a target keeps nothing; choose tail = true, a live teacher, or \
                        a divergence that mixes both (jsd, skew_kl, skew_reverse_kl)",
            );
        }
        Ok(())
    }

    /// Whether rows can be taught without all their logits at once, from whole distributions or truncated ones: see
    /// [`tutelage_tensor::kernels::linear_loss::LogitObjective::as_softmax`].
    pub fn has_softmax_form(&self, whole: bool) -> bool {
        let same_weights = !self.guided && (self.temperature.fixed().is_some() || !self.temperature_squared);
        // KL at temperature 1 needs a softmax more where the teacher's is tempered.
        let same_softmax = !whole || self.temperature == Temperature::Fixed(1.0);
        self.rows_are_differences() && same_weights && same_softmax
    }

    /// Whether the gradient of each row is a difference of two softmaxes, the student's being the text's own.
    pub(crate) fn rows_are_differences(&self) -> bool {
        let is_one = match self.student_temperature {
            StudentTemperature::Fixed(temperature) => temperature == 1.0,
            StudentTemperature::Teacher => self.temperature == Temperature::Fixed(1.0),
        };
        self.divergence.is_difference() && is_one && !self.tail
    }
}
