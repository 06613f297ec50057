//! Negative log-likelihood under the teacher: `-sum t log q` (2410.16215, section 2, "NLL"). With a fixed teacher its
//! gradient is that of the forward KL divergence.

use tutelage_tensor::simd::{Entry, Instructions, Pointwise};

#[derive(Clone, Copy)]
pub(super) struct Nll;

impl Pointwise for Nll {
    #[inline(always)]
    fn at<I: Instructions>(self, e: Entry) -> [f32; 2] {
        [-e.t * e.log_q, -e.t]
    }
}
