//! Reverse Kullback-Leibler divergence: `sum q (log q - log t)` (2306.08543, equation 1).
//!
//! Departure: where the teacher has no mass the divergence is infinite; here `log t` is never below that of the smallest
//! normal number, so that such an entry pushes the student away with a finite slope.

use tutelage_tensor::simd::{Entry, Instructions, Pointwise};

#[derive(Clone, Copy)]
pub(super) struct ReverseKl;

impl Pointwise for ReverseKl {
    #[inline(always)]
    fn at<I: Instructions>(self, e: Entry) -> [f32; 2] {
        let value = e.q * (e.log_q - e.log_t);
        [value, value + e.q]
    }
}
