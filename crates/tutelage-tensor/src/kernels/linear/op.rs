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
        cpu::weight_gradient(params.device(), &grad, &self.x, cx.grads.get_mut(self.weight));
        if self.node.is_some() {
            cx.add(self.node, cpu::input_gradient(params, self.weight, &grad));
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
        let value = cpu::forward(self.params(), weight, x.value());
        self.record(value, || Box::new(Linear { x: x.value().clone(), node: x.node(), weight }))
    }

    /// `residual + x W^T` for an f32 residual stream `[t, n]` -> f32 `[t, n]`.
    pub fn linear_add(&mut self, x: &Var, weight: ParamId, residual: &Var) -> Var {
        let value = cpu::forward_add(self.params(), weight, x.value(), residual.value());
        let linear = Linear { x: x.value().clone(), node: x.node(), weight };
        self.record(value, || Box::new(LinearAdd { linear, residual: residual.node() }))
    }
}
