//! Mean square of the difference of hidden states (1909.10351, equation 8, with a learned projection of the student's).
//!
//! Departure: hidden states are those of the residual stream after a block, before any norm, the last block's too.

use tutelage_tensor::kernels::feature_loss::FeatureObjective;
use tutelage_tensor::simd::RowMath;

/// `mean (x - y)^2` over the channels of a row.
#[derive(Debug, Clone, Copy)]
pub struct HiddenMse {
    /// What gradients are multiplied by.
    pub scale: f32,
}

impl FeatureObjective for HiddenMse {
    fn row(&self, math: RowMath, x_d: &mut [f32], target_d: &[f32], gradient: bool) -> f64 {
        let d = x_d.len().max(1) as f64;
        math.add_scaled(x_d, target_d, -1.0);
        let value = f64::from(math.dot(x_d, x_d)) / d;
        if gradient {
            math.scale(x_d, (2.0 * f64::from(self.scale) / d) as f32);
        }
        value
    }
}
