//! Addition of columns on the tape.

use std::sync::Arc;

use super::super::{ROW_BLOCK, by_dtype};
use crate::tape::{Backward, Node};
use crate::{Device, Element, Tape, Tensor, Var};

struct Columns {
    map: Arc<[Option<u32>]>,
    scale: f32,
    nodes: [Option<usize>; 2],
}

impl<'p> Node<'p> for Columns {
    fn backward(self: Box<Self>, grad: Tensor, cx: &mut Backward<'_, 'p>) {
        let (device, (t, n), m) = (cx.params.device(), grad.dims2(), self.map.len());
        let dy = by_dtype!(cx.params.precision().activation(), Y => {
            let mut out = device.buffer::<Y>(t * m);
            device.timed("adapter columns", || by_dtype!(grad.dtype(), X => {
                let grad = grad.slice::<X>();
                device.for_each_block(&mut out, ROW_BLOCK * m, |block, out| {
                    for (row, out) in grad[block * ROW_BLOCK * n..].chunks_exact(n).zip(out.chunks_exact_mut(m)) {
                        for (out, from) in out.iter_mut().zip(&*self.map) {
                            *out = Y::from_f32(from.map_or(0.0, |from| self.scale * row[from as usize].to_f32()));
                        }
                    }
                });
            }));
            Tensor::new([t, m], out)
        });
        cx.add(self.nodes[1], dy);
        cx.add(self.nodes[0], grad);
    }
}

fn add<X: Element, Y: Element>(
    device: &Device,
    (x, n): (&[X], usize),
    y: &[Y],
    map: &[Option<u32>],
    scale: f32,
    out: &mut [X],
) {
    device.for_each_block(out, ROW_BLOCK * n, |block, out| {
        let (x, y) = (&x[block * ROW_BLOCK * n..], &y[block * ROW_BLOCK * map.len()..]);
        for ((x, y), out) in x.chunks_exact(n).zip(y.chunks_exact(map.len())).zip(out.chunks_exact_mut(n)) {
            out.copy_from_slice(x);
            for (y, to) in y.iter().zip(map) {
                if let Some(to) = to {
                    let to = &mut out[*to as usize];
                    *to = X::from_f32(to.to_f32() + scale * y.to_f32());
                }
            }
        }
    });
}

impl Tape<'_> {
    /// `x [t, n]` (activations, or an f32 residual stream) with `scale * y` added for activations `y [t, m]`: column `j`
    /// of `y` to column `map[j]` of `x`, to none where that is `None`; no two to one.
    ///
    /// # Panics
    /// When the sizes do not fit.
    pub fn add_columns(&mut self, x: &Var, y: &Var, map: &Arc<[Option<u32>]>, scale: f32) -> Var {
        let ((t, n), device) = (x.value().dims2(), self.device());
        assert_eq!(y.value().dims2(), (t, map.len()), "rows and columns that are added");
        let value = by_dtype!(x.value().dtype(), X => {
            let mut out = device.buffer::<X>(t * n);
            let from = x.value().slice::<X>();
            device.timed("adapter columns", || by_dtype!(y.value().dtype(), Y => {
                add(device, (from, n), y.value().slice::<Y>(), map, scale, &mut out);
            }));
            Tensor::new([t, n], out)
        });
        let node = || Columns { map: Arc::clone(map), scale, nodes: [x.node(), y.node()] };
        self.record(value, || Box::new(node()))
    }
}
