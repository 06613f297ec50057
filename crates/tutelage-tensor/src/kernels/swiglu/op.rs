//! SwiGLU on the tape.

use super::super::by_dtype;
use super::cpu;
use crate::tape::{Backward, Node};
use crate::{Tape, Tensor, Var};

struct SwiGlu {
    gate: Tensor,
    up: Tensor,
    nodes: (Option<usize>, Option<usize>),
}

impl<'p> Node<'p> for SwiGlu {
    fn backward(self: Box<Self>, grad: Tensor, cx: &mut Backward<'_, 'p>) {
        let device = cx.params.device();
        by_dtype!(grad.dtype(), T => {
            let n = grad.slice::<T>().len();
            let (mut dgate, mut dup) = (device.buffer::<T>(n), device.buffer::<T>(n));
            let inputs = (self.gate.slice(), self.up.slice());
            device.timed("swiglu backward", || cpu::backward(device, inputs, grad.slice(), &mut dgate, &mut dup));
            cx.add(self.nodes.0, Tensor::new(grad.shape(), dgate));
            cx.add(self.nodes.1, Tensor::new(grad.shape(), dup));
        });
    }
}

impl Tape<'_> {
    /// `silu(gate) * up`, activations `[t, d_ff]` each.
    pub fn swiglu(&mut self, gate: &Var, up: &Var) -> Var {
        let device = self.device();
        let shape = gate.value().shape();
        let value = by_dtype!(gate.value().dtype(), T => {
            let mut out = device.buffer::<T>(shape.iter().product());
            device.timed("swiglu", || cpu::forward(device, gate.value().slice(), up.value().slice(), &mut out));
            Tensor::new(shape, out)
        });
        let node = || SwiGlu { gate: gate.value().clone(), up: up.value().clone(), nodes: (gate.node(), up.node()) };
        self.record(value, || Box::new(node()))
    }
}
