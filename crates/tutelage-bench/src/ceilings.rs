//! What the machine can do at best.

use std::time::Instant;

use serde::Serialize;
use tutelage_tensor::{Device, ceiling};

use crate::median;

/// Rates on all threads of a device.
#[derive(Debug, Clone, Serialize)]
pub struct Ceilings {
    /// Instruction set of the bf16 products, or "none".
    pub bf16_instructions: &'static str,
    /// bf16 products with operands in registers, FLOP/s; zero where the machine has no such instructions.
    pub bf16_flops_per_second: f64,
    /// f32 multiply-adds with operands in registers, FLOP/s.
    pub f32_flops_per_second: f64,
    /// `a[i] = b[i] + s c[i]` over arrays far larger than the caches, bytes read and written a second.
    pub memory_bytes_per_second: f64,
    /// The same arrays only read, bytes a second.
    pub read_bytes_per_second: f64,
    /// Threads.
    pub n_threads: usize,
}

const REPEATS: usize = 7;

/// Measures them.
pub fn ceilings(device: &Device) -> Ceilings {
    let rate = |work: &mut dyn FnMut() -> f64| {
        work();
        let rates = (0..REPEATS).map(|_| {
            let begun = Instant::now();
            let amount = work();
            amount / begun.elapsed().as_secs_f64()
        });
        median(rates.collect())
    };
    let (bf16_instructions, bf16_flops_per_second) = match ceiling::bf16_instructions(device) {
        Some(name) => (name, rate(&mut || ceiling::bf16_products(device))),
        None => ("none", 0.0),
    };
    let mut triad = ceiling::Triad::new(device);
    Ceilings {
        bf16_instructions,
        bf16_flops_per_second,
        f32_flops_per_second: rate(&mut || ceiling::f32_products(device)),
        memory_bytes_per_second: rate(&mut || triad.run(device)),
        read_bytes_per_second: rate(&mut || triad.read(device)),
        n_threads: device.n_threads(),
    }
}
