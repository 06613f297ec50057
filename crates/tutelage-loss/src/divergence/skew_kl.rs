//! Skew Kullback-Leibler divergence: `sum t (log t - log m)`, `m = a t + (1 - a) q` (2402.03898, section 3.1).

use tutelage_tensor::simd::{Entry, Instructions, Pointwise, ln};

#[derive(Clone, Copy)]
pub(super) struct SkewKl {
    pub(super) skew: f32,
}

impl Pointwise for SkewKl {
    #[inline(always)]
    fn at<I: Instructions>(self, e: Entry) -> [f32; 2] {
        let of_q = (1.0 - self.skew) * e.q;
        let m = self.skew * e.t + of_q;
        let floor = if m > f32::MIN_POSITIVE { m } else { f32::MIN_POSITIVE };
        [e.t * (e.log_t - ln::<I>(m)), -e.t * (of_q / floor)]
    }
}
