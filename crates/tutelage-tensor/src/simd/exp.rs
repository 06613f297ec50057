//! `exp` that vectorises.

use super::instructions::Instructions;
use super::multiply_add;

/// `e^x` within 2 units in the last place for `x` in [-87, 88]; 0 below, clamped above.
///
/// `x = n ln 2 + r`, `|r| <= ln 2 / 2`; `e^r` by a polynomial of degree 6 (Taylor, whose remainder there
/// is 1.2e-7 relative), `2^n` added to the exponent bits.
#[inline(always)]
pub(crate) fn exp<I: Instructions>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to an integer held in the low bits
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = multiply_add::<I>(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = multiply_add::<I>(n, -LN2_HIGH, clamped);
    let r = multiply_add::<I>(n, -LN2_LOW, r);
    let mut p = 1.0 / 720.0;
    p = multiply_add::<I>(p, r, 1.0 / 120.0);
    p = multiply_add::<I>(p, r, 1.0 / 24.0);
    p = multiply_add::<I>(p, r, 1.0 / 6.0);
    p = multiply_add::<I>(p, r, 0.5);
    p = multiply_add::<I>(p, r, 1.0);
    p = multiply_add::<I>(p, r, 1.0);
    let scaled = f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23));
    if x < -87.0 { 0.0 } else { scaled }
}
