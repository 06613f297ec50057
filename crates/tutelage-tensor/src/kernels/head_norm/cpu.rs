//! Norms of heads on the processor.

use super::super::ROW_BLOCK;
use super::heads;
use crate::kernels::attention::AttentionShape;
use crate::simd::{Instructions, LANES, SimdTask, fold, load, multiply_add, store};
use crate::{Device, Element};

/// What both directions read; weights of queries and of keys.
pub(super) struct Inputs<'a, T> {
    pub(super) shape: AttentionShape,
    pub(super) weights: [&'a [f32]; 2],
    pub(super) eps: f32,
    pub(super) qkv: &'a [T],
}

/// Writes `out[t, qkv_width]`.
pub(super) fn forward<T: Element>(device: &Device, inputs: &Inputs<'_, T>, out: &mut [T]) {
    let (d, width) = (inputs.shape.d_head, inputs.shape.qkv_width());
    device.for_each_block(out, ROW_BLOCK * width, |index, out| {
        let rows = inputs.qkv[index * ROW_BLOCK * width..].chunks_exact(width);
        for (row, out) in rows.zip(out.chunks_exact_mut(width)) {
            for ((x, out), which) in row.chunks_exact(d).zip(out.chunks_exact_mut(d)).zip(heads(inputs.shape)) {
                match which {
                    Some(which) => {
                        device.isa().run(Normalise { x, w: inputs.weights[which], eps: inputs.eps, out });
                    }
                    None => out.copy_from_slice(x),
                }
            }
        }
    });
}

/// `1 / sqrt(mean(x^2) + eps)`.
#[inline(always)]
fn inverse_rms<I: Instructions, T: Element>(x: &[T], eps: f32) -> f32 {
    let mut lanes = [0.0; LANES];
    for at in (0..x.len()).step_by(LANES) {
        let x = load(x, at);
        for i in 0..LANES {
            lanes[i] = multiply_add::<I>(x[i], x[i], lanes[i]);
        }
    }
    1.0 / (fold(lanes) / x.len() as f32 + eps).sqrt()
}

struct Normalise<'a, T> {
    x: &'a [T],
    w: &'a [f32],
    eps: f32,
    out: &'a mut [T],
}
impl<T: Element> SimdTask for Normalise<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        let inv = inverse_rms::<I, T>(self.x, self.eps);
        for at in (0..self.out.len()).step_by(LANES) {
            let (mut x, w) = (load(self.x, at), load(self.w, at));
            for i in 0..LANES {
                x[i] = x[i] * inv * w[i];
            }
            store::<I, T>(self.out, at, x);
        }
    }
}

/// Writes `dqkv`, and adds to the gradients of the weights.
pub(super) fn backward<T: Element>(
    device: &Device,
    inputs: &Inputs<'_, T>,
    grad: &[T],
    dqkv: &mut [T],
    dw: [&mut [f32]; 2],
) {
    let (d, width) = (inputs.shape.d_head, inputs.shape.qkv_width());
    let mut partial = device.zeros::<f32>(dqkv.len().div_ceil(ROW_BLOCK * width) * 2 * d);
    device.for_each_block2((dqkv, ROW_BLOCK * width), (&mut partial[..], 2 * d), |index, dqkv, partial| {
        let start = index * ROW_BLOCK * width;
        for (r, dqkv) in dqkv.chunks_exact_mut(width).enumerate() {
            for ((i, dx), which) in dqkv.chunks_exact_mut(d).enumerate().zip(heads(inputs.shape)) {
                let at = start + r * width + i * d;
                let (x, grad) = (&inputs.qkv[at..][..d], &grad[at..][..d]);
                match which {
                    Some(which) => {
                        let (w, dw) = (inputs.weights[which], &mut partial[which * d..][..d]);
                        device.isa().run(Gradient { x, w, eps: inputs.eps, grad, dx, dw });
                    }
                    None => dx.copy_from_slice(grad),
                }
            }
        }
    });
    let [queries, keys] = dw;
    for block in partial.chunks_exact(2 * d) {
        for (to, &from) in queries.iter_mut().chain(&mut *keys).zip(block) {
            *to += from;
        }
    }
}

struct Gradient<'a, T> {
    x: &'a [T],
    w: &'a [f32],
    eps: f32,
    grad: &'a [T],
    dx: &'a mut [T],
    dw: &'a mut [f32],
}
impl<T: Element> SimdTask for Gradient<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        let d = self.x.len();
        let inv = inverse_rms::<I, T>(self.x, self.eps);
        let mut lanes = [0.0f32; LANES];
        for at in (0..d).step_by(LANES) {
            let (x, w, grad) = (load(self.x, at), load(self.w, at), load(self.grad, at));
            for i in 0..LANES {
                lanes[i] = multiply_add::<I>(grad[i] * w[i], x[i], lanes[i]);
            }
        }
        let pull = inv * inv * inv * fold(lanes) / d as f32;
        for at in (0..d).step_by(LANES) {
            let (x, w, grad) = (load(self.x, at), load(self.w, at), load(self.grad, at));
            let (mut dx, mut dw) = ([0.0; LANES], load(self.dw, at));
            for i in 0..LANES {
                dx[i] = multiply_add::<I>(-x[i], pull, inv * grad[i] * w[i]);
                dw[i] = multiply_add::<I>(grad[i] * x[i], inv, dw[i]);
            }
            store::<I, T>(self.dx, at, dx);
            store::<I, f32>(self.dw, at, dw);
        }
    }
}
