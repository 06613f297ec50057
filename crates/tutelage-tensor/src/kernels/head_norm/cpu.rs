//! Norms of heads on the processor.

use super::super::ROW_BLOCK;
use super::super::rms_norm::cpu::{Normalise, Row};
use super::heads;
use crate::kernels::attention::AttentionShape;
use crate::simd::{Instructions, LANES, SimdTask, fold, load, multiply_add};
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
                        let inv = device.isa().run(InverseRms { x, eps: inputs.eps });
                        device.isa().run(Normalise { row: x, w: inputs.weights[which], inv, out });
                    }
                    None => out.copy_from_slice(x),
                }
            }
        }
    });
}

/// `1 / sqrt(mean(x^2) + eps)`.
struct InverseRms<'a, T> {
    x: &'a [T],
    eps: f32,
}
impl<T: Element> SimdTask for InverseRms<'_, T> {
    type Output = f32;
    #[inline(always)]
    fn run<I: Instructions>(self) -> f32 {
        let mut lanes = [0.0; LANES];
        for at in (0..self.x.len()).step_by(LANES) {
            let x = load(self.x, at);
            for i in 0..LANES {
                lanes[i] = multiply_add::<I>(x[i], x[i], lanes[i]);
            }
        }
        1.0 / (fold(lanes) / self.x.len() as f32 + self.eps).sqrt()
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
                        let inv = device.isa().run(InverseRms { x, eps: inputs.eps });
                        device.isa().run(Row { x, w, grad, inv, dx, add: false, dw });
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
