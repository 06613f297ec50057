//! Powers of two of a register.

use std::arch::x86_64::*;

/// `2^x` within 3e-7, relative; 0 where that is far below the normal range, infinity above it. Not for infinities.
///
/// `x = n + r`, `|r| <= 1/2`; `2^r` by the polynomial of degree 5 with the smallest largest relative error, 1.5e-7
/// (Remez), and `n` added to the exponent by an instruction that knows its ends.
///
/// # Safety
/// The machine must have AVX-512; inlined into code that is compiled for it.
#[inline(always)]
pub(crate) unsafe fn exp2(x: __m512) -> __m512 {
    const TO_NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    // SAFETY: the caller's promise.
    unsafe {
        let n = _mm512_roundscale_ps::<TO_NEAREST>(x);
        let r = _mm512_sub_ps(x, n);
        let mut p = _mm512_set1_ps(0.001_321_078_2);
        for c in [0.009_679_762, 0.055_511_08, 0.240_220_26, 0.693_146_5, 1.000_000_1] {
            p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
        }
        _mm512_scalef_ps(p, n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma")]
    fn of(x: &[f32; 16]) -> [f32; 16] {
        // SAFETY: the features are those of this function; registers and arrays are the same bytes.
        unsafe { std::mem::transmute(exp2(std::mem::transmute::<[f32; 16], __m512>(*x))) }
    }

    #[test]
    fn powers_are_those_of_f64() {
        if Isa::Avx512Bf16.ready().is_err() {
            return;
        }
        for i in -20_000..20_000 {
            let x: [f32; 16] = std::array::from_fn(|lane| (i * 16 + lane as i32) as f32 * 3.9e-4);
            // SAFETY: a machine with this instruction set has the features.
            for (x, found) in x.iter().zip(unsafe { of(&x) }) {
                let expected = f64::from(*x).exp2();
                assert!((f64::from(found) / expected - 1.0).abs() < 3e-7, "2^{x}: {found}, not {expected}");
            }
        }
        // SAFETY: as above.
        let ends = unsafe { of(&std::array::from_fn(|lane| if lane % 2 == 0 { -1e30 } else { 1e30 })) };
        assert_eq!(ends[..2], [0.0, f32::INFINITY]);
        // SAFETY: as above.
        assert!(unsafe { of(&[f32::NAN; 16]) }.iter().all(|x| x.is_nan()));
    }
}
