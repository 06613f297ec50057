//! RMSNorm on the tape.

use super::super::by_dtype;
use super::cpu;
use crate::tape::{Backward, Node};
use crate::{Buffer, ParamId, Tape, Tensor, Var};

struct RmsNorm {
    x: Tensor,
    node: Option<usize>,
    weight: ParamId,
    inv_rms: Buffer<f32>,
}

impl<'p> Node<'p> for RmsNorm {
    fn backward(self: Box<Self>, grad: Tensor, cx: &mut Backward<'_, 'p>) {
        let params = cx.params;
        let w = params.get(self.weight).values();
        let mut dx = cx.device().buffer(self.x.slice::<f32>().len());
        let dw = cx.grads.get_mut(self.weight);
        let saved = (self.x.slice(), w, &self.inv_rms[..]);
        let device = params.device();
        device.timed("norm backward", || {
            by_dtype!(grad.dtype(), T => cpu::backward(device, saved, grad.slice::<T>(), &mut dx, dw));
        });
        cx.add(self.node, Tensor::new(self.x.shape(), dx));
    }
}

impl Tape<'_> {
    /// `x / sqrt(mean(x^2) + eps) * w` over rows of f32 `[t, d]` -> activations `[t, d]`.
    pub fn rms_norm(&mut self, x: &Var, weight: ParamId, eps: f32) -> Var {
        let (t, d) = x.value().dims2();
        let device = self.device();
        let w = self.params().get(weight).values();
        let mut inv_rms = device.buffer(t);
        let value = by_dtype!(self.params().precision().activation(), T => {
            let mut out = device.buffer::<T>(t * d);
            device.timed("norm", || cpu::forward(device, x.value().slice(), w, eps, &mut out, &mut inv_rms));
            Tensor::new([t, d], out)
        });
        self.record(value, || Box::new(RmsNorm { x: x.value().clone(), node: x.node(), weight, inv_rms }))
    }
}
