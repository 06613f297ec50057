//! Element types.

use half::bf16;

/// Type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit float: master weights, gradients, the residual stream, reductions.
    F32,
    /// bfloat16: activations and weight copies of the mixed precision mode.
    Bf16,
}

impl DType {
    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self {
            DType::F32 => size_of::<f32>(),
            DType::Bf16 => size_of::<bf16>(),
        }
    }
}

/// What the products of a model are computed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Everything in f32: for parity tests.
    F32,
    /// bf16 operands, f32 accumulation, f32 residual stream and reductions.
    Bf16,
}

impl Precision {
    /// Type of the activations between operations.
    pub fn activation(self) -> DType {
        match self {
            Precision::F32 => DType::F32,
            Precision::Bf16 => DType::Bf16,
        }
    }
}

/// A plain number type that buffers can hold: any bit pattern is a value.
///
/// Sealed: implemented for `f32` and `bf16` only, which is what makes reinterpreting pooled memory sound.
pub trait Element: Copy + Send + Sync + 'static + sealed::Sealed {
    /// The run-time name of this type.
    const DTYPE: DType;
    /// Widen.
    fn to_f32(self) -> f32;
    /// Round to nearest, ties to even.
    fn from_f32(value: f32) -> Self;
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }
}

impl Element for bf16 {
    const DTYPE: DType = DType::Bf16;
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
    // `half`'s own conversion branches on NaN; this form vectorises.
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
        let quiet_nan = (bits >> 16) | 0x40;
        let is_nan = bits & 0x7fff_ffff > 0x7f80_0000;
        bf16::from_bits(if is_nan { quiet_nan } else { rounded } as u16)
    }
}

mod sealed {
    use half::bf16;

    use crate::simd::{Instructions, LANES};

    pub trait Sealed: Sized {
        /// Rounds as `from_f32` does, with instructions for it where there are any.
        fn from_lanes<I: Instructions>(lanes: [f32; LANES]) -> [Self; LANES];
    }
    impl Sealed for f32 {
        #[inline(always)]
        fn from_lanes<I: Instructions>(lanes: [f32; LANES]) -> [Self; LANES] {
            lanes
        }
    }
    impl Sealed for bf16 {
        #[inline(always)]
        fn from_lanes<I: Instructions>(lanes: [f32; LANES]) -> [Self; LANES] {
            I::round(lanes)
        }
    }
}
