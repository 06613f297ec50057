//! A bias on the tape.

use super::super::by_dtype;
use super::cpu;
use crate::tape::{Backward, Node};
use crate::{ParamId, Tape, Tensor, Var};

struct Bias {
    node: Option<usize>,
    bias: ParamId,
}

impl<'p> Node<'p> for Bias {
    fn backward(self: Box<Self>, grad: Tensor, cx: &mut Backward<'_, 'p>) {
        let device = cx.params.device();
        if let Some(dbias) = cx.grads.learned_mut(self.bias) {
            device.timed("bias backward", || {
                by_dtype!(grad.dtype(), T => cpu::backward(device, grad.slice::<T>(), dbias));
            });
        }
        cx.add(self.node, grad);
    }
}

impl Tape<'_> {
    /// `x + bias` for activations `[t, n]` and `bias [n]`.
    pub fn bias(&mut self, x: &Var, bias: ParamId) -> Var {
        let device = self.device();
        let values = self.params().get(bias).values();
        let value = by_dtype!(x.value().dtype(), T => {
            let from = x.value().slice::<T>();
            let mut out = device.buffer::<T>(from.len());
            device.timed("bias", || cpu::forward(device, from, values, &mut out));
            Tensor::new(x.value().shape(), out)
        });
        self.record(value, || Box::new(Bias { node: x.node(), bias }))
    }
}
