//! Forward Kullback-Leibler divergence: `sum t (log t - log q)` (2410.16215, section 2, "KLD"; 1503.02531).
//!
//! Departure: 2410.16215 does not give the direction; forward (teacher first) is what its NLL differs from by the teacher's
//! entropy alone.

use tutelage_tensor::simd::{Entry, Instructions, Pointwise};

#[derive(Clone, Copy)]
pub(super) struct ForwardKl;

impl Pointwise for ForwardKl {
    #[inline(always)]
    fn at<I: Instructions>(self, e: Entry) -> [f32; 2] {
        [e.t * (e.log_t - e.log_q), -e.t]
    }
}
