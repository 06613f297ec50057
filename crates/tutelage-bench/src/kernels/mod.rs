//! Every fused operation by itself, forward and backward, at the sizes of a real step.
//!
//! An operation's ceiling is the larger of the time its arithmetic takes at the machine's matrix rate and the time
//! its operands and results take at the machine's memory bandwidth, each moved once. Operands of one operation that
//! runs again and again are warmer in the caches than in a step, so a percentage may exceed 100 where memory is what
//! counts.

mod operations;
mod references;

use std::time::Instant;

use serde::Serialize;
use tutelage_tensor::{Device, Grads, Params, Tape, Tensor, Var};

use crate::{BenchError, Ceilings, Shape, ceilings, median};

/// One pass of one operation.
#[derive(Debug, Clone, Serialize)]
pub struct KernelTime {
    /// What is computed.
    pub operation: &'static str,
    /// "forward", "backward", "both" for the output layer with its loss, or "step" for the optimizer.
    pub pass: &'static str,
    /// Its sizes.
    pub sizes: String,
    /// Median milliseconds.
    pub milliseconds: f64,
    /// Floating-point operations of the products, a second.
    pub flops_per_second: f64,
    /// Bytes of operands and results, each counted once, a second.
    pub bytes_per_second: f64,
    /// Time at the ceiling as percent of the time taken.
    pub percent_of_ceiling: f64,
    /// Milliseconds of the naive reference in f64, on one thread; from some of the rows, scaled to all.
    pub reference_milliseconds: f64,
}

/// All operations at a shape.
#[derive(Debug, Clone, Serialize)]
pub struct KernelTimes {
    /// Sizes.
    pub shape: Shape,
    /// Instruction set.
    pub isa: String,
    /// The machine's ceilings.
    pub ceilings: Ceilings,
    /// Each operation, in the order of a step.
    pub kernels: Vec<KernelTime>,
}

/// Arithmetic and memory of a pass.
#[derive(Debug, Clone, Copy)]
struct Cost {
    flops: f64,
    bytes: f64,
}

/// Seconds of a reference's passes, scaled to all rows.
#[derive(Debug, Clone, Copy)]
struct ReferenceTimes {
    forward: f64,
    backward: f64,
}

/// An operation on the tape.
struct Operation<'a> {
    name: &'static str,
    sizes: String,
    forward: Cost,
    backward: Cost,
    reference: ReferenceTimes,
    params: &'a Params,
    inputs: Vec<Tensor>,
}

/// Measures them, `repeats` times each.
///
/// # Errors
/// When the shape makes no model.
pub fn kernels(shape: &Shape, repeats: usize, device: &Device) -> Result<KernelTimes, BenchError> {
    shape.config().validate()?;
    let ceilings = ceilings(device);
    let mut bench = Bench { device, repeats, ceilings: &ceilings, found: Vec::new() };
    operations::all(shape, &mut bench);
    let kernels = bench.found;
    Ok(KernelTimes { shape: shape.clone(), isa: device.isa().to_string(), ceilings, kernels })
}

struct Bench<'a> {
    device: &'a Device,
    repeats: usize,
    ceilings: &'a Ceilings,
    found: Vec<KernelTime>,
}

impl Bench<'_> {
    /// Times both passes of an operation whose result is `run` of its inputs.
    fn tape(&mut self, op: Operation<'_>, run: impl for<'p> Fn(&mut Tape<'p>, &[Var]) -> Var + Sync) {
        let mut grads = Grads::zeros(op.params);
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        for i in 0..self.repeats + 1 {
            grads.clear();
            let times = self.device.enter(|| {
                let mut tape = Tape::training(op.params);
                let inputs: Vec<Var> = op.inputs.iter().map(|x| tape.leaf(x.clone())).collect();
                let begun = Instant::now();
                let y = run(&mut tape, &inputs);
                let forward = begun.elapsed().as_secs_f64();
                let grad = y.value().clone();
                let begun = Instant::now();
                tape.backward(&y, grad, &mut grads);
                (forward, begun.elapsed().as_secs_f64())
            });
            if i > 0 {
                forward.push(times.0);
                backward.push(times.1);
            }
        }
        self.record((op.name, "forward"), &op.sizes, op.forward, median(forward), op.reference.forward);
        self.record((op.name, "backward"), &op.sizes, op.backward, median(backward), op.reference.backward);
    }

    /// Times `run`, after once without.
    fn time(&self, mut run: impl FnMut() + Send) -> f64 {
        self.device.enter(|| {
            run();
            let times = (0..self.repeats).map(|_| {
                let begun = Instant::now();
                run();
                begun.elapsed().as_secs_f64()
            });
            median(times.collect())
        })
    }

    fn record(
        &mut self,
        (operation, pass): (&'static str, &'static str),
        sizes: &str,
        cost: Cost,
        seconds: f64,
        reference: f64,
    ) {
        let rate = self.ceilings.bf16_flops_per_second.max(self.ceilings.f32_flops_per_second);
        let least = (cost.flops / rate).max(cost.bytes / self.ceilings.memory_bytes_per_second);
        self.found.push(KernelTime {
            operation,
            pass,
            sizes: sizes.to_owned(),
            milliseconds: 1e3 * seconds,
            flops_per_second: cost.flops / seconds,
            bytes_per_second: cost.bytes / seconds,
            percent_of_ceiling: 100.0 * least / seconds,
            reference_milliseconds: 1e3 * reference,
        });
    }
}
