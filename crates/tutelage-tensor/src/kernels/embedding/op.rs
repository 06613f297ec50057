//! Embedding on the tape.

use super::cpu;
use crate::tape::{Backward, Node};
use crate::{ParamId, Tape, Tensor, Var};

struct Embedding {
    ids: Vec<i32>,
    table: ParamId,
}

impl<'p> Node<'p> for Embedding {
    fn backward(self: Box<Self>, grad: Tensor, cx: &mut Backward<'_, 'p>) {
        let (_, d) = grad.dims2();
        let device = cx.params.device();
        if cx.params.get(self.table).is_fixed() {
            return;
        }
        device.timed("embedding backward", || match cx.grads.rows_mut(self.table) {
            Some(rows) => {
                let (places, values) = rows.places(device, &self.ids);
                cpu::backward(device, &places, grad.slice(), d, values);
            }
            None => {
                let rows: Vec<usize> = self.ids.iter().map(|&id| id as usize).collect();
                cpu::backward(device, &rows, grad.slice(), d, cx.grads.get_mut(self.table));
            }
        });
    }
}

impl Tape<'_> {
    /// Rows `ids` of the table `[v, d]` -> f32 `[t, d]`, the start of the residual stream.
    ///
    /// # Panics
    /// When an id is outside the table; batches are checked where they are made.
    pub fn embedding(&mut self, ids: &[i32], table: ParamId) -> Var {
        let param = self.params().get(table);
        let d = param.shape()[1];
        let mut out = self.device().buffer(ids.len() * d);
        let device = self.device();
        device.timed("embedding", || cpu::forward(device, ids, param.values(), d, &mut out));
        let value = Tensor::new([ids.len(), d], out);
        self.record(value, || Box::new(Embedding { ids: ids.to_vec(), table }))
    }
}
