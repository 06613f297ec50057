//! A loss in the middle of the tape, between rows of a model's features and rows of another's.

mod op;

use crate::simd::RowMath;

/// A loss over rows of features. Formulas live in `tutelage-loss`; the engine knows this trait only.
pub trait FeatureObjective: Sync {
    /// The value of a row; with `gradient`, replaces `x_d` by the gradient of the objective with respect to it, else may leave
    /// anything there.
    fn row(&self, math: RowMath, x_d: &mut [f32], target_d: &[f32], gradient: bool) -> f64;
}
