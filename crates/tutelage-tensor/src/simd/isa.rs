//! Which instructions the kernels use, chosen at run time.

use std::fmt;
use std::str::FromStr;

#[cfg(target_arch = "x86_64")]
use super::instructions::{Avx, Avx512Bf16};
use super::instructions::{Instructions, Portable};

/// An instruction set, fastest first. Each can do what the ones after it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isa {
    /// x86-64 tiles (`tdpbf16ps`) with AVX-512 for the rest.
    Amx,
    /// x86-64 AVX-512 with bf16 dot products (`vdpbf16ps`).
    Avx512Bf16,
    /// x86-64 AVX-512 without bf16: products in f32.
    Avx512,
    /// x86-64 AVX2 and FMA: products in f32.
    Avx2,
    /// Whatever the compiler targets: products in f32.
    Portable,
}

/// Why an instruction set cannot be used.
#[derive(Debug, Clone)]
pub struct IsaUnavailable {
    message: String,
}

impl IsaUnavailable {
    pub(crate) fn threads(n_threads: usize, error: &dyn fmt::Display) -> Self {
        Self { message: format!("cannot start {n_threads} threads: {error}") }
    }
}

impl fmt::Display for IsaUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for IsaUnavailable {}

impl Isa {
    /// All of them, fastest first.
    pub const ALL: [Isa; 5] = [Isa::Amx, Isa::Avx512Bf16, Isa::Avx512, Isa::Avx2, Isa::Portable];

    /// The fastest one that this machine has.
    pub fn detect() -> Self {
        Self::ALL.into_iter().find(|&isa| available(isa)).unwrap_or(Isa::Portable)
    }

    /// Whether this machine has it; asks the system for what the instruction set needs.
    pub(crate) fn ready(self) -> Result<Self, IsaUnavailable> {
        if available(self) {
            Ok(self)
        } else {
            Err(IsaUnavailable {
                message: format!(
                    "instruction set '{self}' is not available on this machine, which has '{}'",
                    Self::detect()
                ),
            })
        }
    }

    /// Whether products of bf16 operands run on bf16 instructions.
    pub(crate) fn has_bf16_products(self) -> bool {
        self <= Isa::Avx512Bf16
    }

    /// Runs `task` compiled for this instruction set.
    #[inline]
    pub(crate) fn run<T: SimdTask>(self, task: T) -> T::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Amx | Isa::Avx512Bf16 => {
                // SAFETY: a `Device` holds an `Isa` only after `ready` found its features.
                unsafe { run_avx512_bf16(task) }
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                // SAFETY: as above.
                unsafe { run_avx512(task) }
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                // SAFETY: as above.
                unsafe { run_avx2(task) }
            }
            _ => task.run::<Portable>(),
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Isa::Amx => "amx",
            Isa::Avx512Bf16 => "avx512bf16",
            Isa::Avx512 => "avx512",
            Isa::Avx2 => "avx2",
            Isa::Portable => "portable",
        })
    }
}

impl FromStr for Isa {
    type Err = IsaUnavailable;
    fn from_str(name: &str) -> Result<Self, IsaUnavailable> {
        Self::ALL.into_iter().find(|isa| isa.to_string() == name).ok_or_else(|| IsaUnavailable {
            message: format!(
                "unknown instruction set '{name}'; one of {}",
                Self::ALL.map(|isa| isa.to_string()).join(", ")
            ),
        })
    }
}

/// Work that is compiled for each instruction set.
///
/// `run` and all it calls must be `#[inline(always)]`, or the features of the caller do not reach it.
pub(crate) trait SimdTask {
    type Output;
    fn run<I: Instructions>(self) -> Self::Output;
}

/// `a * b + c`, fused where that is one instruction.
#[inline(always)]
pub(crate) fn multiply_add<I: Instructions>(a: f32, b: f32, c: f32) -> f32 {
    if I::FMA { a.mul_add(b, c) } else { a * b + c }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
fn run_avx512<T: SimdTask>(task: T) -> T::Output {
    task.run::<Avx>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma")]
fn run_avx512_bf16<T: SimdTask>(task: T) -> T::Output {
    task.run::<Avx512Bf16>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<T: SimdTask>(task: T) -> T::Output {
    task.run::<Avx>()
}

#[cfg(target_arch = "x86_64")]
fn available(isa: Isa) -> bool {
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("fma");
    match isa {
        Isa::Amx => avx512 && is_x86_feature_detected!("avx512bf16") && crate::matmul::amx_ready(),
        Isa::Avx512Bf16 => avx512 && is_x86_feature_detected!("avx512bf16"),
        Isa::Avx512 => avx512,
        Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        Isa::Portable => true,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn available(isa: Isa) -> bool {
    isa == Isa::Portable
}
