//! Linear layers on the tape.

use super::cpu;
use crate::tape::{Backward, Node};
use crate::{ParamId, Tape, Tensor, Var};

struct Linear {
    x: Tensor,
    node: Option<usize>,
    weight: ParamId,
}

impl<'p> Node<'p> for Linear {
    fn backward(self: Box<Self>, grad: Tensor, cx: &mut Backward<'_, 'p>) {
        let params = cx.params;
        let device = params.device();
        if let Some(dw) = cx.grads.out(self.weight) {
            device.timed("linear weight gradient", || cpu::weight_gradient(device, &grad, &self.x, dw));
        }
        if self.node.is_some() {
            let dx = device.timed("linear input gradient", || cpu::input_gradient(params, self.weight, &grad));
            cx.add(self.node, dx);
        }
    }
}

struct LinearAdd {
    linear: Linear,
    residual: Option<usize>,
}

impl<'p> Node<'p> for LinearAdd {
    fn backward(self: Box<Self>, grad: Tensor, cx: &mut Backward<'_, 'p>) {
        let rounded = cpu::as_activation(cx.params, &grad);
        cx.add(self.residual, grad);
        Box::new(self.linear).backward(rounded, cx);
    }
}

impl Tape<'_> {
    /// `x W^T` for activations `[t, k]` and `W [n, k]` -> activations `[t, n]`.
    pub fn linear(&mut self, x: &Var, weight: ParamId) -> Var {
        let params = self.params();
        let value = params.device().timed("linear", || cpu::forward(params, weight, x.value()));
        self.record(value, || Box::new(Linear { x: x.value().clone(), node: x.node(), weight }))
    }

    /// `residual + x W^T` for an f32 residual stream `[t, n]` -> f32 `[t, n]`; without one the product alone.
    pub fn linear_add(&mut self, x: &Var, weight: ParamId, residual: Option<&Var>) -> Var {
        let params = self.params();
        let from = residual.map(Var::value);
        let value = params.device().timed("linear", || cpu::forward_add(params, weight, x.value(), from));
        let linear = Linear { x: x.value().clone(), node: x.node(), weight };
        self.record(value, || Box::new(LinearAdd { linear, residual: residual.and_then(Var::node) }))
    }

    /// `x W^T` in f32, whatever the activations' type; for logits, so there is no way back.
    pub fn linear_f32(&self, x: &Var, weight: ParamId) -> Tensor {
        let params = self.params();
        params.device().timed("logits", || cpu::forward_add(params, weight, x.value(), None))
    }
}
