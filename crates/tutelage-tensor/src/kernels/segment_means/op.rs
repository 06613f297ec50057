//! Means on the tape.

use super::super::{ROW_BLOCK, by_dtype};
use super::Segments;
use crate::simd::RowMath;
use crate::tape::{Backward, Node};
use crate::{Element, Tape, Tensor, Var};

struct SegmentMeans {
    segments: Segments,
    node: Option<usize>,
}

impl<'p> Node<'p> for SegmentMeans {
    fn backward(self: Box<Self>, grad: Tensor, cx: &mut Backward<'_, 'p>) {
        let device = cx.device();
        let (_, d) = grad.dims2();
        let segments = &self.segments;
        let mut out = device.zeros::<f32>(segments.n_rows() * d);
        by_dtype!(grad.dtype(), T => {
            let grad = grad.slice::<T>();
            device.for_each_block(&mut out, ROW_BLOCK * d.max(1), |block, out| {
                for (row, out) in (block * ROW_BLOCK..).zip(out.chunks_exact_mut(d)) {
                    let Some(segment) = segments.of_row(row) else { continue };
                    let share = 1.0 / segments.size(segment) as f32;
                    for (out, grad) in out.iter_mut().zip(&grad[segment * d..]) {
                        *out = share * grad.to_f32();
                    }
                }
            });
        });
        let out = Tensor::new([segments.n_rows(), d], out);
        cx.add(self.node, out);
    }
}

impl Tape<'_> {
    /// The mean of each segment's rows of f32 `[t, d]` -> activations `[n, d]`.
    ///
    /// # Panics
    /// When the segments are those of another number of rows.
    pub fn segment_means(&mut self, x: &Var, segments: &Segments) -> Var {
        let (t, d) = x.value().dims2();
        assert_eq!(t, segments.n_rows(), "means of segments: rows");
        let (device, math) = (self.device(), RowMath::new(self.device().isa()));
        let mut rows = vec![Vec::with_capacity(1); segments.n()];
        (0..t).filter_map(|row| Some((segments.of_row(row)?, row))).for_each(|(segment, row)| rows[segment].push(row));
        let from = x.value().slice::<f32>();
        let value = by_dtype!(self.params().precision().activation(), T => {
            let mut out = device.buffer::<T>(segments.n() * d);
            device.for_each_block(&mut out, d.max(1), |segment, out| {
                let mut sum = vec![0.0; d];
                let share = 1.0 / segments.size(segment) as f32;
                rows[segment].iter().for_each(|row| math.add_scaled(&mut sum, &from[row * d..][..d], share));
                out.iter_mut().zip(sum).for_each(|(out, sum)| *out = T::from_f32(sum));
            });
            Tensor::new([segments.n(), d], out)
        });
        self.record(value, || Box::new(SegmentMeans { segments: segments.clone(), node: x.node() }))
    }
}
