//! SwiGLU on the processor.

use crate::simd::{SimdTask, exp};
use crate::{Device, Element};

const BLOCK: usize = 1 << 13;

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
    fn run<const FMA: bool>(self) {
        for ((out, gate), up) in self.out.iter_mut().zip(self.gate).zip(self.up) {
            let gate = gate.to_f32();
            *out = T::from_f32(gate / (1.0 + exp::<FMA>(-gate)) * up.to_f32());
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
    fn run<const FMA: bool>(self) {
        let inputs = self.gate.iter().zip(self.up).zip(self.grad);
        for (((gate, up), grad), (dgate, dup)) in inputs.zip(self.dgate.iter_mut().zip(self.dup)) {
            let (gate, up, grad) = (gate.to_f32(), up.to_f32(), grad.to_f32());
            let sigmoid = 1.0 / (1.0 + exp::<FMA>(-gate));
            *dgate = T::from_f32(grad * up * sigmoid * (1.0 + gate * (1.0 - sigmoid)));
            *dup = T::from_f32(grad * gate * sigmoid);
        }
    }
}
