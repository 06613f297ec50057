//! Loops that do nothing but what a machine is fastest at, for benches to divide by.

use crate::simd::{Instructions, SimdTask, multiply_add};
use crate::{Buffer, Device};

/// Which instructions bf16 products run on, if the device has any.
pub fn bf16_instructions(device: &Device) -> Option<&'static str> {
    match device.isa() {
        crate::Isa::Amx => Some("tdpbf16ps"),
        crate::Isa::Avx512Bf16 => Some("vdpbf16ps"),
        _ => None,
    }
}

/// bf16 products of registers on every thread; returns the floating-point operations done (zero without such
/// instructions).
pub fn bf16_products(device: &Device) -> f64 {
    const ROUNDS: usize = 4_000_000;
    let work = |_| crate::matmul::spin(device.isa(), ROUNDS);
    let done = std::sync::Mutex::new(0.0);
    device.for_each(device.n_threads(), |i| {
        let flops = work(i);
        *done.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += flops;
    });
    done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// f32 multiply-adds of registers on every thread; returns the floating-point operations done.
pub fn f32_products(device: &Device) -> f64 {
    const ROUNDS: usize = 3_000_000;
    device.for_each(device.n_threads(), |_| {
        std::hint::black_box(device.isa().run(MultiplyAdd { rounds: ROUNDS }));
    });
    2.0 * (LANES * CHAINS * ROUNDS * device.n_threads()) as f64
}

const LANES: usize = 16;
/// Sums that do not wait for one another: more than the latency times the ports.
const CHAINS: usize = 12;

struct MultiplyAdd {
    rounds: usize,
}
impl SimdTask for MultiplyAdd {
    type Output = f32;
    #[inline(always)]
    fn run<I: Instructions>(self) -> f32 {
        let (a, b) = (std::hint::black_box(0.999f32), std::hint::black_box(1e-3f32));
        let mut sums = [1.0f32; LANES * CHAINS];
        for _ in 0..self.rounds {
            for i in 0..LANES * CHAINS {
                sums[i] = multiply_add::<I>(sums[i], a, b);
            }
        }
        sums.iter().sum()
    }
}

/// `a[i] = b[i] + s c[i]`.
pub struct Triad {
    arrays: [Buffer<f32>; 3],
}

const TRIAD_LEN: usize = 1 << 26;
const TRIAD_BLOCK: usize = 1 << 16;

impl Triad {
    /// Three arrays of 256 MB.
    pub fn new(device: &Device) -> Self {
        Self { arrays: [device.zeros(TRIAD_LEN), device.zeros(TRIAD_LEN), device.zeros(TRIAD_LEN)] }
    }

    /// Runs once; returns the bytes read and written.
    pub fn run(&mut self, device: &Device) -> f64 {
        let [a, b, c] = &mut self.arrays;
        device.for_each_block(a, TRIAD_BLOCK, |index, a| {
            let at = index * TRIAD_BLOCK;
            device.isa().run(TriadBlock { a, b: &b[at..], c: &c[at..] });
        });
        (3 * TRIAD_LEN * size_of::<f32>()) as f64
    }
}

impl Triad {
    /// Reads all three once, and writes nothing; returns the bytes read.
    pub fn read(&self, device: &Device) -> f64 {
        for array in &self.arrays {
            device.for_each(TRIAD_LEN / TRIAD_BLOCK, |index| {
                let part = &array[index * TRIAD_BLOCK..][..TRIAD_BLOCK];
                std::hint::black_box(device.isa().run(Sum { part }));
            });
        }
        (3 * TRIAD_LEN * size_of::<f32>()) as f64
    }
}

struct Sum<'a> {
    part: &'a [f32],
}
impl SimdTask for Sum<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<I: Instructions>(self) -> f32 {
        let mut sums = [0.0f32; LANES * 4];
        for chunk in self.part.as_chunks::<{ LANES * 4 }>().0 {
            for (sum, x) in sums.iter_mut().zip(chunk) {
                *sum += x;
            }
        }
        sums.iter().sum()
    }
}

struct TriadBlock<'a> {
    a: &'a mut [f32],
    b: &'a [f32],
    c: &'a [f32],
}
impl SimdTask for TriadBlock<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        for ((a, b), c) in self.a.iter_mut().zip(self.b).zip(self.c) {
            *a = multiply_add::<I>(*c, 3.0, *b);
        }
    }
}
