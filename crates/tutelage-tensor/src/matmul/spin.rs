//! Products of registers, over and over: the ceiling of the instruction set.

use crate::Isa;

/// Runs `rounds` rounds on this thread; returns the floating-point operations done.
pub(crate) fn spin(isa: Isa, rounds: usize) -> f64 {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Amx => super::amx::spin(rounds / 8),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a device holds this instruction set only after it was found.
        Isa::Avx512Bf16 => unsafe { super::avx512_bf16::spin(rounds) },
        _ => {
            let _ = rounds;
            0.0
        }
    }
}
