//! The fused operations, one folder each.

pub mod adamw;
pub mod attention;
pub mod bias;
pub mod columns;
pub mod embedding;
pub mod experts;
pub mod feature_loss;
pub mod feed_forward;
pub mod head_norm;
pub mod linear;
pub mod linear_loss;
pub mod rms_norm;
pub mod segment_means;
pub mod swiglu;

/// Rows that one task handles in row-wise kernels; fixed, so that partial sums have a fixed order.
const ROW_BLOCK: usize = 32;

/// Runs `$body` with `$t` standing for the Rust type of `$dtype`.
macro_rules! by_dtype {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            crate::DType::F32 => {
                type $t = f32;
                $body
            }
            crate::DType::Bf16 => {
                type $t = half::bf16;
                $body
            }
        }
    };
}
use by_dtype;
