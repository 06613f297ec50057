//! RMSNorm on the tape.

use super::super::by_dtype;
use super::cpu;
use crate::tape::{Backward, Node};
use crate::{Buffer, ParamId, Tape, Tensor, Var};

/// A norm whose result was added to a residual stream.
struct RmsNormAdd {
    norm: RmsNorm,
    residual: Option<usize>,
}

impl<'p> Node<'p> for RmsNormAdd {
    fn backward(self: Box<Self>, grad: Tensor, cx: &mut Backward<'_, 'p>) {
        cx.add(self.residual, grad.clone());
        Box::new(self.norm).backward(grad, cx);
    }
}

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
        // The residual stream's gradient came first: it is added to while the row is at hand.
        let mut so_far = cx.take(self.node);
        let n = self.x.slice::<f32>().len();
        let mut fresh = None;
        let (dx, add) = match so_far.as_mut().and_then(Tensor::slice_mut::<f32>) {
            Some(dx) => (dx, true),
            None => (&mut fresh.insert(cx.device().buffer::<f32>(n))[..], false),
        };
        let mut nobody = Vec::new();
        let dw = cx.grads.learned_mut(self.weight).unwrap_or_else(|| {
            nobody.resize(w.len(), 0.0);
            &mut nobody
        });
        let saved = (self.x.slice(), w, &self.inv_rms[..]);
        let device = params.device();
        device.timed("norm backward", || {
            by_dtype!(grad.dtype(), T => cpu::backward(device, saved, grad.slice::<T>(), (dx, add), dw));
        });
        for part in [so_far, fresh.map(|dx| Tensor::new(self.x.shape(), dx))].into_iter().flatten() {
            cx.add(self.node, part);
        }
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

    /// `residual + x / sqrt(mean(x^2) + eps) * w` over rows of f32 `[t, d]` -> f32 `[t, d]`.
    pub fn rms_norm_add(&mut self, x: &Var, weight: ParamId, eps: f32, residual: &Var) -> Var {
        let (t, d) = x.value().dims2();
        let device = self.device();
        let w = self.params().get(weight).values();
        let (mut inv_rms, mut out) = (device.buffer(t), device.buffer::<f32>(t * d));
        device.timed("norm", || cpu::forward(device, x.value().slice(), w, eps, &mut out, &mut inv_rms));
        let sum = Tensor::new([t, d], out).add(residual.value(), device);
        let norm = RmsNorm { x: x.value().clone(), node: x.node(), weight, inv_rms };
        self.record(sum, || Box::new(RmsNormAdd { norm, residual: residual.node() }))
    }
}
