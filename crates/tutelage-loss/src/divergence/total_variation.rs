//! Total variation distance: `sum |q - t| / 2` (2307.15190, section 3). Where both are equal its slope is taken for zero.

use tutelage_tensor::simd::{Entry, Instructions, Pointwise};

#[derive(Clone, Copy)]
pub(super) struct TotalVariation;

impl Pointwise for TotalVariation {
    #[inline(always)]
    fn at<I: Instructions>(self, e: Entry) -> [f32; 2] {
        let difference = e.q - e.t;
        let sign = f32::from(u8::from(difference > 0.0)) - f32::from(u8::from(difference < 0.0));
        [0.5 * difference.abs(), 0.5 * e.q * sign]
    }
}
