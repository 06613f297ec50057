//! Skew reverse Kullback-Leibler divergence: `sum q (log q - log m)`, `m = (1 - a) t + a q` (2402.03898, section 3.1).
//!
//! Departure: the gradient is that of the formula; published code takes the student inside the mixture for a constant.

use tutelage_tensor::simd::{Entry, Instructions, Pointwise, ln};

#[derive(Clone, Copy)]
pub(super) struct SkewReverseKl {
    pub(super) skew: f32,
}

impl Pointwise for SkewReverseKl {
    #[inline(always)]
    fn at<I: Instructions>(self, e: Entry) -> [f32; 2] {
        let of_q = self.skew * e.q;
        let m = (1.0 - self.skew) * e.t + of_q;
        let floor = if m > f32::MIN_POSITIVE { m } else { f32::MIN_POSITIVE };
        let value = e.q * (e.log_q - ln::<I>(m));
        [value, value + e.q * (1.0 - of_q / floor)]
    }
}
