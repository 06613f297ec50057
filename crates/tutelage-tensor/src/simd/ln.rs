//! `ln` that vectorises.

use super::instructions::Instructions;
use super::multiply_add;

/// `ln x` within 2e-7, absolute where it is small and relative elsewhere, for `x` from the smallest normal number on;
/// of what is below that, zero and negative numbers included, the logarithm of the smallest normal number.
///
/// `x = 2^n m`, `m` in [sqrt(1/2), sqrt(2)): `ln m = 2 artanh s`, `s = (m - 1) / (m + 1)`, whose series in `s` ends here
/// at the ninth power (the rest is below 2e-9 of it).
#[inline(always)]
pub(crate) fn ln<I: Instructions>(x: f32) -> f32 {
    const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
    let x = if x > f32::MIN_POSITIVE { x } else { f32::MIN_POSITIVE };
    // The mantissa's exponent is taken such that `m` is around one.
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let n = ((shifted as i32) >> 23) as f32;
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(SQRT_HALF_BITS));
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let mut p = 2.0 / 9.0;
    p = multiply_add::<I>(p, z, 2.0 / 7.0);
    p = multiply_add::<I>(p, z, 2.0 / 5.0);
    p = multiply_add::<I>(p, z, 2.0 / 3.0);
    p = multiply_add::<I>(p * z, s, 2.0 * s);
    multiply_add::<I>(n, std::f32::consts::LN_2, p)
}
