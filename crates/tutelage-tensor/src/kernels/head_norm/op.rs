//! Norms of heads on the tape.

use super::super::by_dtype;
use super::HeadNorms;
use super::cpu::{self, Inputs};
use crate::kernels::attention::AttentionShape;
use crate::tape::{Backward, Node};
use crate::{Params, Tape, Tensor, Var};

struct HeadNormNode {
    shape: AttentionShape,
    norms: HeadNorms,
    eps: f32,
    qkv: Tensor,
    node: Option<usize>,
}

fn weights(params: &Params, norms: HeadNorms) -> [&[f32]; 2] {
    [norms.queries, norms.keys].map(|id| params.get(id).values())
}

impl<'p> Node<'p> for HeadNormNode {
    fn backward(self: Box<Self>, grad: Tensor, cx: &mut Backward<'_, 'p>) {
        let (params, d) = (cx.params, self.shape.d_head);
        let device = params.device();
        let mut dw = device.zeros::<f32>(2 * d);
        let dqkv = by_dtype!(grad.dtype(), T => {
            let (shape, weights, eps) = (self.shape, weights(params, self.norms), self.eps);
            let inputs = Inputs::<T> { shape, weights, eps, qkv: self.qkv.slice() };
            let mut dqkv = device.buffer::<T>(inputs.qkv.len());
            let (queries, keys) = dw.split_at_mut(d);
            device.timed("head norm backward", || {
                cpu::backward(device, &inputs, grad.slice(), &mut dqkv, [queries, keys]);
            });
            Tensor::new(grad.shape(), dqkv)
        });
        for (id, from) in [self.norms.queries, self.norms.keys].into_iter().zip(dw.chunks_exact(d)) {
            for (to, from) in cx.grads.learned_mut(id).into_iter().flatten().zip(from) {
                *to += from;
            }
        }
        cx.add(self.node, dqkv);
    }
}

impl Tape<'_> {
    /// `x / sqrt(mean(x^2) + eps) * w` over each query head and each key head of the fused product's rows,
    /// activations `[t, qkv_width]` (see [`AttentionShape`]).
    pub fn head_norm(&mut self, qkv: &Var, shape: AttentionShape, norms: HeadNorms, eps: f32) -> Var {
        let device = self.device();
        let weights = weights(self.params(), norms);
        let value = by_dtype!(qkv.value().dtype(), T => {
            let inputs = Inputs::<T> { shape, weights, eps, qkv: qkv.value().slice() };
            let mut out = device.buffer::<T>(inputs.qkv.len());
            device.timed("head norm", || cpu::forward(device, &inputs, &mut out));
            Tensor::new(qkv.value().shape(), out)
        });
        let node = || HeadNormNode { shape, norms, eps, qkv: qkv.value().clone(), node: qkv.node() };
        self.record(value, || Box::new(node()))
    }
}
