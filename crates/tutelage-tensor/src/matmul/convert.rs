//! Rounding and transposing operands.

use half::bf16;

use crate::simd::SimdTask;
use crate::{Buffer, Device, Element};

struct Round<'a, S> {
    from: &'a [S],
    to: &'a mut [bf16],
}
impl<S: Element> SimdTask for Round<'_, S> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (to, &from) in self.to.iter_mut().zip(self.from) {
            *to = Element::from_f32(from.to_f32());
        }
    }
}

/// A bf16 copy.
pub(crate) fn rounded<S: Element>(device: &Device, values: &[S]) -> Buffer<bf16> {
    const BLOCK: usize = 1 << 14;
    let mut out = device.buffer::<bf16>(values.len());
    device.for_each_block(&mut out, BLOCK, |index, to| {
        device.isa().run(Round { from: &values[index * BLOCK..][..to.len()], to });
    });
    out
}

/// `[rows, columns]` -> `[columns, rows]`.
pub(crate) fn transposed<T: Element>(device: &Device, rows: usize, columns: usize, values: &[T]) -> Buffer<T> {
    const TILE: usize = 32;
    assert_eq!(values.len(), rows * columns);
    let mut out = device.buffer::<T>(values.len());
    device.for_each_block(&mut out, TILE * rows, |index, out| {
        let first = index * TILE;
        let width = out.len() / rows.max(1);
        for row_start in (0..rows).step_by(TILE) {
            let height = TILE.min(rows - row_start);
            for c in 0..width {
                let out = &mut out[c * rows + row_start..][..height];
                for (r, out) in out.iter_mut().enumerate() {
                    *out = values[(row_start + r) * columns + first + c];
                }
            }
        }
    });
    out
}
