//! RMSNorm on the processor.

use super::super::ROW_BLOCK;
use crate::simd::{RowMath, SimdTask};
use crate::{Device, Element};

/// Writes `out[t, d]` and `inv_rms[t]`.
pub(super) fn forward<T: Element>(device: &Device, x: &[f32], w: &[f32], eps: f32, out: &mut [T], inv_rms: &mut [f32]) {
    let d = w.len();
    let math = RowMath::new(device.isa());
    device.for_each_block2((out, ROW_BLOCK * d), (inv_rms, ROW_BLOCK), |index, out, inv_rms| {
        let x = &x[index * ROW_BLOCK * d..];
        for ((row, out), inv) in x.chunks_exact(d).zip(out.chunks_exact_mut(d)).zip(inv_rms) {
            *inv = 1.0 / (math.dot(row, row) / d as f32 + eps).sqrt();
            device.isa().run(Normalise { row, w, inv: *inv, out });
        }
    });
}

struct Normalise<'a, T> {
    row: &'a [f32],
    w: &'a [f32],
    inv: f32,
    out: &'a mut [T],
}
impl<T: Element> SimdTask for Normalise<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for ((out, &x), &w) in self.out.iter_mut().zip(self.row).zip(self.w) {
            *out = T::from_f32(x * self.inv * w);
        }
    }
}

/// Writes `dx[t, d]`, or adds to it; adds to `dw[d]`.
pub(super) fn backward<T: Element>(
    device: &Device,
    (x, w, inv_rms): (&[f32], &[f32], &[f32]),
    grad: &[T],
    (dx, add): (&mut [f32], bool),
    dw: &mut [f32],
) {
    let d = w.len();
    let n_blocks = inv_rms.len().div_ceil(ROW_BLOCK);
    let mut partial = device.zeros::<f32>(n_blocks * d);
    device.for_each_block2((dx, ROW_BLOCK * d), (&mut partial[..], d), |index, dx, dw| {
        let start = index * ROW_BLOCK;
        for (r, dx) in dx.chunks_exact_mut(d).enumerate() {
            let at = (start + r) * d;
            let task = Row { x: &x[at..][..d], w, grad: &grad[at..][..d], inv: inv_rms[start + r], dx, add, dw };
            device.isa().run(task);
        }
    });
    for block in partial.chunks_exact(d) {
        for (to, &from) in dw.iter_mut().zip(block) {
            *to += from;
        }
    }
}

struct Row<'a, T> {
    x: &'a [f32],
    w: &'a [f32],
    grad: &'a [T],
    inv: f32,
    dx: &'a mut [f32],
    add: bool,
    dw: &'a mut [f32],
}
impl<T: Element> SimdTask for Row<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        const LANES: usize = 16;
        let d = self.x.len();
        let mut lanes = [0.0f32; LANES];
        for start in (0..d - d % LANES).step_by(LANES) {
            for i in 0..LANES {
                let at = start + i;
                lanes[i] += self.grad[at].to_f32() * self.w[at] * self.x[at];
            }
        }
        let mut dot: f32 = lanes.iter().sum();
        for at in d - d % LANES..d {
            dot += self.grad[at].to_f32() * self.w[at] * self.x[at];
        }
        let pull = self.inv * self.inv * self.inv * dot / d as f32;
        let inputs = self.x.iter().zip(self.w).zip(self.grad);
        for (((&x, &w), grad), (dx, dw)) in inputs.zip(self.dx.iter_mut().zip(self.dw)) {
            let grad = grad.to_f32();
            let before = if self.add { *dx } else { 0.0 };
            *dx = before + (self.inv * grad * w - x * pull);
            *dw += grad * x * self.inv;
        }
    }
}
