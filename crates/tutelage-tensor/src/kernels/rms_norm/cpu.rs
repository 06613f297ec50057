//! RMSNorm on the processor.

use super::super::ROW_BLOCK;
use crate::simd::{Instructions, LANES, RowMath, SimdTask, fold, load, multiply_add, store};
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

/// `row * inv * w`.
pub(crate) struct Normalise<'a, S, T> {
    pub(crate) row: &'a [S],
    pub(crate) w: &'a [f32],
    pub(crate) inv: f32,
    pub(crate) out: &'a mut [T],
}
impl<S: Element, T: Element> SimdTask for Normalise<'_, S, T> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        for at in (0..self.out.len()).step_by(LANES) {
            let (mut x, w) = (load(self.row, at), load(self.w, at));
            for i in 0..LANES {
                x[i] = x[i] * self.inv * w[i];
            }
            store::<I, T>(self.out, at, x);
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

/// The way back of [`Normalise`] and of `inv`: writes `dx`, or adds to it; adds to `dw`.
pub(crate) struct Row<'a, S, T, D> {
    pub(crate) x: &'a [S],
    pub(crate) w: &'a [f32],
    pub(crate) grad: &'a [T],
    pub(crate) inv: f32,
    pub(crate) dx: &'a mut [D],
    pub(crate) add: bool,
    pub(crate) dw: &'a mut [f32],
}
impl<S: Element, T: Element, D: Element> SimdTask for Row<'_, S, T, D> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        let d = self.x.len();
        let mut lanes = [0.0f32; LANES];
        for at in (0..d).step_by(LANES) {
            let (x, w, grad) = (load(self.x, at), load(self.w, at), load(self.grad, at));
            for i in 0..LANES {
                lanes[i] = multiply_add::<I>(grad[i] * w[i], x[i], lanes[i]);
            }
        }
        let pull = self.inv * self.inv * self.inv * fold(lanes) / d as f32;
        for at in (0..d).step_by(LANES) {
            let (x, w, grad) = (load(self.x, at), load(self.w, at), load(self.grad, at));
            let mut dx = if self.add { load(self.dx, at) } else { [0.0; LANES] };
            let mut dw = load(self.dw, at);
            for i in 0..LANES {
                let pulled = multiply_add::<I>(-x[i], pull, self.inv * grad[i] * w[i]);
                dx[i] += pulled;
                dw[i] = multiply_add::<I>(grad[i] * x[i], self.inv, dw[i]);
            }
            store::<I, D>(self.dx, at, dx);
            store::<I, f32>(self.dw, at, dw);
        }
    }
}
