//! The loss on the tape.

use super::super::{ROW_BLOCK, by_dtype};
use super::FeatureObjective;
use crate::simd::RowMath;
use crate::tape::{Backward, Loss};
use crate::{Element, Tape, Tensor, Var};

/// Its gradient is known when its value is: it takes as much memory as what it is a loss of.
struct FeatureLoss {
    gradient: Tensor,
    node: Option<usize>,
}

impl<'p> Loss<'p> for FeatureLoss {
    fn backward(self: Box<Self>, cx: &mut Backward<'_, 'p>) {
        cx.add(self.node, self.gradient);
    }
}

impl Tape<'_> {
    /// The objective's value summed over the rows of activations `[n, d]`, against rows of `target` of the same shape; the tape
    /// is unwound from it too.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn feature_loss(&mut self, x: &Var, target: &Tensor, objective: &dyn FeatureObjective) -> f64 {
        let (n, d) = x.value().dims2();
        assert_eq!([n, d], target.shape()[..], "features and those they are compared with");
        let (device, math, records) = (self.device(), RowMath::new(self.device().isa()), self.records());
        let mut values = vec![0.0; n];
        let gradient = by_dtype!(x.value().dtype(), T => {
            let from = x.value().slice::<T>();
            let mut out = device.buffer::<T>(n * d);
            device.timed("feature loss", || {
                device.for_each_block2((&mut out, ROW_BLOCK * d.max(1)), (&mut values, ROW_BLOCK), |block, out, values| {
                    let (mut x_d, mut target_d) = (vec![0.0; d], vec![0.0; d]);
                    let rows = block * ROW_BLOCK..;
                    for ((row, out), value) in rows.zip(out.chunks_exact_mut(d)).zip(values) {
                        x_d.iter_mut().zip(&from[row * d..]).for_each(|(to, from)| *to = from.to_f32());
                        widen(target, row, &mut target_d);
                        *value = objective.row(math, &mut x_d, &target_d, records);
                        out.iter_mut().zip(&x_d).for_each(|(to, &from)| *to = T::from_f32(from));
                    }
                });
            });
            Tensor::new([n, d], out)
        });
        self.record_loss(|| Box::new(FeatureLoss { gradient, node: x.node() }));
        values.iter().sum()
    }
}

/// A row of a matrix, in f32.
fn widen(from: &Tensor, row: usize, to: &mut [f32]) {
    by_dtype!(from.dtype(), T => {
        let from = &from.slice::<T>()[row * to.len()..];
        to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_f32());
    });
}
