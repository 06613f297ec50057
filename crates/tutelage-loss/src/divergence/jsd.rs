//! Generalised Jensen-Shannon divergence: `beta KL(t || m) + (1 - beta) KL(q || m)`, `m = beta t + (1 - beta) q`
//! (2306.13649, equation 2).
//!
//! The formula is zero at both ends; as elsewhere, beta = 0 stands for `KL(t || q)` and beta = 1 for `KL(q || t)`. So there
//! are jumps at both ends: for small beta it is about `beta KL(t || q)`, with a gradient as much smaller, and for
//! beta near 1 about `(1 - beta) KL(q || t)`.

use tutelage_tensor::simd::{Entry, Instructions, Pointwise, ln};

#[derive(Clone, Copy)]
pub(super) struct Jsd {
    pub(super) beta: f32,
}

impl Pointwise for Jsd {
    #[inline(always)]
    fn at<I: Instructions>(self, e: Entry) -> [f32; 2] {
        let (beta, rest) = (self.beta, 1.0 - self.beta);
        let log_m = ln::<I>(beta * e.t + rest * e.q);
        let of_q = rest * e.q * (e.log_q - log_m);
        [beta * e.t * (e.log_t - log_m) + of_q, of_q]
    }
}
