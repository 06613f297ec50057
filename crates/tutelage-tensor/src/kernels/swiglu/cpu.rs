//! SwiGLU on the processor.

use crate::simd::{Instructions, LANES, SimdTask, exp, load, store};
use crate::{Device, Element};

const BLOCK: usize = 1 << 13;

/// `silu(gate) * up`.
#[inline(always)]
pub(crate) fn lanes<I: Instructions>(gate: [f32; LANES], up: [f32; LANES]) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    for i in 0..LANES {
        out[i] = gate[i] / (1.0 + exp::<I>(-gate[i])) * up[i];
    }
    out
}

/// Gradients of `silu(gate) * up` with respect to both.
#[inline(always)]
pub(crate) fn gradient_lanes<I: Instructions>(
    gate: [f32; LANES],
    up: [f32; LANES],
    grad: [f32; LANES],
) -> ([f32; LANES], [f32; LANES]) {
    let (mut dgate, mut dup) = ([0.0; LANES], [0.0; LANES]);
    for i in 0..LANES {
        let sigmoid = 1.0 / (1.0 + exp::<I>(-gate[i]));
        dgate[i] = grad[i] * up[i] * sigmoid * (1.0 + gate[i] * (1.0 - sigmoid));
        dup[i] = grad[i] * gate[i] * sigmoid;
    }
    (dgate, dup)
}

pub(super) fn forward<T: Element>(device: &Device, gate: &[T], up: &[T], out: &mut [T]) {
    device.for_each_block(out, BLOCK, |index, out| {
        let at = index * BLOCK;
        device.isa().run(Forward { gate: &gate[at..][..out.len()], up: &up[at..][..out.len()], out });
    });
}

struct Forward<'a, T> {
    gate: &'a [T],
    up: &'a [T],
    out: &'a mut [T],
}
impl<T: Element> SimdTask for Forward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        for at in (0..self.out.len()).step_by(LANES) {
            store::<I, T>(self.out, at, lanes::<I>(load(self.gate, at), load(self.up, at)));
        }
    }
}

pub(super) fn backward<T: Element>(
    device: &Device,
    (gate, up): (&[T], &[T]),
    grad: &[T],
    dgate: &mut [T],
    dup: &mut [T],
) {
    device.for_each_block2((dgate, BLOCK), (dup, BLOCK), |index, dgate, dup| {
        let range = index * BLOCK..index * BLOCK + dgate.len();
        let (gate, up, grad) = (&gate[range.clone()], &up[range.clone()], &grad[range]);
        device.isa().run(Gradient { gate, up, grad, dgate, dup });
    });
}

struct Gradient<'a, T> {
    gate: &'a [T],
    up: &'a [T],
    grad: &'a [T],
    dgate: &'a mut [T],
    dup: &'a mut [T],
}
impl<T: Element> SimdTask for Gradient<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        for at in (0..self.grad.len()).step_by(LANES) {
            let (dgate, dup) = gradient_lanes::<I>(load(self.gate, at), load(self.up, at), load(self.grad, at));
            store::<I, T>(self.dgate, at, dgate);
            store::<I, T>(self.dup, at, dup);
        }
    }
}
