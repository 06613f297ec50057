//! What a task's loops are compiled with.

use half::bf16;

use crate::Element;

/// Numbers that are handled side by side: a 512-bit register of f32.
pub(crate) const LANES: usize = 16;

/// An instruction set as a task sees it. Plain loops are vectorised by the compiler; this names what they cannot say.
pub trait Instructions {
    /// Whether fused multiply-add is one instruction.
    const FMA: bool;

    /// Rounds to nearest, ties to even. Instructions for it take numbers below the normal range for zero.
    #[inline(always)]
    fn round(lanes: [f32; LANES]) -> [bf16; LANES] {
        lanes.map(Element::from_f32)
    }
}

/// Whatever the compiler targets.
pub(crate) struct Portable;
impl Instructions for Portable {
    const FMA: bool = cfg!(target_arch = "aarch64");
}

/// AVX2 or AVX-512, each with fused multiply-add.
#[cfg(target_arch = "x86_64")]
pub(crate) struct Avx;
#[cfg(target_arch = "x86_64")]
impl Instructions for Avx {
    const FMA: bool = true;
}

/// AVX-512 with its bf16 instructions.
#[cfg(target_arch = "x86_64")]
pub(crate) struct Avx512Bf16;
#[cfg(target_arch = "x86_64")]
impl Instructions for Avx512Bf16 {
    const FMA: bool = true;

    #[inline(always)]
    fn round(lanes: [f32; LANES]) -> [bf16; LANES] {
        use std::arch::x86_64::{__m512, _mm512_cvtneps_pbh};
        // SAFETY: tasks are compiled with this type only where the device has the instructions; vectors and arrays
        // are the same bytes.
        unsafe { std::mem::transmute(_mm512_cvtneps_pbh(std::mem::transmute::<[f32; LANES], __m512>(lanes))) }
    }
}

/// Elements `at ..` of a row, widened; zeros beyond its end.
#[inline(always)]
pub(crate) fn load<T: Element>(row: &[T], at: usize) -> [f32; LANES] {
    match row.get(at..).and_then(|rest| rest.first_chunk::<LANES>()) {
        Some(group) => {
            let mut lanes = [0.0; LANES];
            for i in 0..LANES {
                lanes[i] = group[i].to_f32();
            }
            lanes
        }
        None => load_end(row, at),
    }
}

/// Writes elements `at ..` of a row, rounded if need be; nothing beyond its end.
#[inline(always)]
pub(crate) fn store<I: Instructions, T: Element>(row: &mut [T], at: usize, lanes: [f32; LANES]) {
    let lanes = T::from_lanes::<I>(lanes);
    match row.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<LANES>()) {
        Some(group) => *group = lanes,
        None => store_end(row, at, lanes),
    }
}

// The ends of rows are calls: beside a copy of any length the compiler makes whole groups copies of any length too.

#[cold]
#[inline(never)]
fn load_end<T: Element>(row: &[T], at: usize) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    for (lane, x) in lanes.iter_mut().zip(row.iter().skip(at)) {
        *lane = x.to_f32();
    }
    lanes
}

#[cold]
#[inline(never)]
fn store_end<T: Element>(row: &mut [T], at: usize, lanes: [T; LANES]) {
    for (to, lane) in row.iter_mut().skip(at).zip(lanes) {
        *to = lane;
    }
}
