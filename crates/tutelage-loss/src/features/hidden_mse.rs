//! Mean square of the difference of hidden states (1909.10351, equation 8, with a learned projection of the student's).
//!
//! Departures: hidden states are those of the residual stream after a block, before any norm, the last block's too. Such streams grow
//! with depth, to squares in the hundreds, so that a weight would mean another thing for every model: `relative` divides by the mean square
//! of the teacher's row, and is 1 for a student that says nothing.

use tutelage_tensor::kernels::feature_loss::FeatureObjective;
use tutelage_tensor::simd::RowMath;

/// `mean (x - y)^2` over the channels of a row, or that over `mean y^2`.
#[derive(Debug, Clone, Copy)]
pub struct HiddenMse {
    /// What gradients are multiplied by.
    pub scale: f32,
    /// Whether it is divided by the mean square of the teacher's row (unless that is zero).
    pub relative: bool,
}

impl FeatureObjective for HiddenMse {
    fn row(&self, math: RowMath, x_d: &mut [f32], target_d: &[f32], gradient: bool) -> f64 {
        let d = x_d.len().max(1) as f64;
        let squares = f64::from(math.dot(target_d, target_d));
        let divisor = if self.relative && squares > 0.0 { squares } else { d };
        math.add_scaled(x_d, target_d, -1.0);
        let value = f64::from(math.dot(x_d, x_d)) / divisor;
        if gradient {
            math.scale(x_d, (2.0 * f64::from(self.scale) / divisor) as f32);
        }
        value
    }
}
