//! One less the cosine of hidden states (1910.01108, section 3, with a learned projection of the student's).
//!
//! Departure: as for [`super::hidden_mse`]. A row of zeros has the cosine zero, and no gradient.

use tutelage_tensor::kernels::feature_loss::FeatureObjective;
use tutelage_tensor::simd::RowMath;

/// `1 - x y / (|x| |y|)` of a row.
#[derive(Debug, Clone, Copy)]
pub struct HiddenCosine {
    /// What gradients are multiplied by.
    pub scale: f32,
}

impl FeatureObjective for HiddenCosine {
    fn row(&self, math: RowMath, x_d: &mut [f32], target_d: &[f32], gradient: bool) -> f64 {
        let dot = |a: &[f32], b: &[f32]| f64::from(math.dot(a, b));
        let squares = dot(x_d, x_d);
        let norms = (squares * dot(target_d, target_d)).sqrt();
        if norms == 0.0 {
            x_d.fill(0.0);
            return 1.0;
        }
        let cosine = dot(x_d, target_d) / norms;
        if gradient {
            let scale = f64::from(self.scale);
            math.scale(x_d, (scale * cosine / squares) as f32);
            math.add_scaled(x_d, target_d, (-scale / norms) as f32);
        }
        1.0 - cosine
    }
}
