//! Mean-square error between probabilities: `sum (q - t)^2` (2410.16215, section 2, "MSE").
//!
//! Departures: the paper does not say whether of probabilities or logits (for those see `logit_mse.rs`), nor whether it
//! divides by the vocabulary (here not).

use tutelage_tensor::simd::{Entry, Instructions, Pointwise};

#[derive(Clone, Copy)]
pub(super) struct Mse;

impl Pointwise for Mse {
    #[inline(always)]
    fn at<I: Instructions>(self, e: Entry) -> [f32; 2] {
        let difference = e.q - e.t;
        [difference * difference, 2.0 * e.q * difference]
    }
}
