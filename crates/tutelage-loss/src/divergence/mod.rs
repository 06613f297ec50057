//! Distances between a teacher's distribution and the student's, one formula a file.
//!
//! `t` is the teacher's distribution, `q` the student's, over the whole vocabulary or over classes of it. A formula says
//! what an entry adds and the derivative `r` of that with respect to `log q`; gradients with respect to the student's
//! tempered logits are then `r - q sum r`, whatever the formula. Natural logarithms throughout; that of a teacher's exact
//! zero stands as that of the smallest normal number ([`Entry::LOWEST`]), so that it stays finite.

mod forward_kl;
mod jsd;
pub(crate) mod logit_mse;
mod mse;
mod name;
mod nll;
mod reverse_kl;
mod skew_kl;
mod skew_reverse_kl;
mod total_variation;

use tutelage_tensor::simd::{Entry, RowMath, Shares, Softmax};

use self::forward_kl::ForwardKl;
use self::jsd::Jsd;
use self::mse::Mse;
use self::nll::Nll;
use self::reverse_kl::ReverseKl;
use self::skew_kl::SkewKl;
use self::skew_reverse_kl::SkewReverseKl;
use self::total_variation::TotalVariation;

/// Which distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Divergence {
    /// `KL(t || q)`.
    ForwardKl,
    /// `KL(q || t)`.
    ReverseKl,
    /// Generalised Jensen-Shannon divergence.
    Jsd {
        /// Weight of the teacher in the mixture: 0 stands for forward KL, 1 for reverse KL.
        beta: f32,
    },
    /// `KL(t || skew t + (1 - skew) q)`.
    SkewKl {
        /// Weight of the teacher in the mixture, from 0 (forward KL) to below 1.
        skew: f32,
    },
    /// `KL(q || (1 - skew) t + skew q)`.
    SkewReverseKl {
        /// Weight of the student in the mixture, from 0 (reverse KL) to below 1.
        skew: f32,
    },
    /// `sum |t - q| / 2`.
    TotalVariation,
    /// `-sum t log q`.
    Nll,
    /// `sum (q - t)^2`.
    Mse,
    /// Mean square of differences of centred logits.
    LogitMse,
    /// Reverse KL by the tokens that the student drew itself, see `mixture/own.rs`.
    SampledReverseKl,
}

/// Binds the formula of a divergence that is a sum over entries, and evaluates an expression with it.
macro_rules! with_formula {
    ($divergence:expr, $formula:ident => $value:expr) => {
        match $divergence {
            // At both ends the formula of `jsd.rs` is zero for every pair; those of the skewed ones are these.
            Divergence::ForwardKl | Divergence::Jsd { beta: 0.0 } | Divergence::SkewKl { skew: 0.0 } => {
                let $formula = ForwardKl;
                $value
            }
            Divergence::ReverseKl | Divergence::Jsd { beta: 1.0 } | Divergence::SkewReverseKl { skew: 0.0 } => {
                let $formula = ReverseKl;
                $value
            }
            Divergence::Jsd { beta } => {
                let $formula = Jsd { beta };
                $value
            }
            Divergence::SkewKl { skew } => {
                let $formula = SkewKl { skew };
                $value
            }
            Divergence::SkewReverseKl { skew } => {
                let $formula = SkewReverseKl { skew };
                $value
            }
            Divergence::TotalVariation => {
                let $formula = TotalVariation;
                $value
            }
            Divergence::Nll => {
                let $formula = Nll;
                $value
            }
            Divergence::Mse => {
                let $formula = Mse;
                $value
            }
            Divergence::LogitMse => unreachable!("logits are compared in `logit_mse`"),
            Divergence::SampledReverseKl => unreachable!("tokens that the student drew have a form of their own"),
        }
    };
}

impl Divergence {
    /// Whether the gradient with respect to the student's tempered logits is `q - t`, the difference of two softmaxes.
    pub fn is_difference(self) -> bool {
        matches!(
            self,
            Divergence::ForwardKl | Divergence::Nll | Divergence::Jsd { beta: 0.0 } | Divergence::SkewKl { skew: 0.0 }
        )
    }

    /// Whether the gradient is linear in `t`, so that counts of samples in the place of `t` leave it without bias.
    pub fn is_linear(self) -> bool {
        self.is_difference() || self == Divergence::Mse
    }

    /// Whether it says something of tokens that the student drew itself, and of no others.
    pub fn is_of_own_tokens(self) -> bool {
        self == Divergence::SampledReverseKl
    }

    /// Whether it is finite only where the teacher has some mass on every entry.
    pub fn needs_whole_support(self) -> bool {
        matches!(self, Divergence::ReverseKl | Divergence::Jsd { beta: 1.0 } | Divergence::SkewReverseKl { skew: 0.0 })
    }

    /// The distance of a row, and with shares its gradient in the student's place, see [`RowMath::pointwise`].
    pub(crate) fn rows(self, math: RowMath, q: Softmax<'_>, t: Softmax<'_>, shares: Option<Shares>) -> f64 {
        with_formula!(self, formula => math.pointwise(formula, q, t, shares))
    }

    /// The distance over a few classes; the derivatives `r` are pushed.
    pub(crate) fn classes(self, math: RowMath, entries: &[Entry], slopes: &mut Vec<f32>) -> f64 {
        with_formula!(self, formula => math.entries(formula, entries, slopes))
    }

    /// From `cross = sum t log q` and `neg_entropy = sum t log t`, where [`Self::is_difference`].
    pub(crate) fn of_sums(self, cross: f64, neg_entropy: f64) -> f64 {
        match self {
            Divergence::Nll => -cross,
            _ => neg_entropy - cross,
        }
    }
}
