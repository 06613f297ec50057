//! Rounding and transposing operands.

use half::bf16;

use crate::simd::{Instructions, LANES, SimdTask, load, store};
use crate::{Buffer, Device, Element};

/// Copies elements into another type.
pub(crate) struct Round<'a, S, T> {
    pub(crate) from: &'a [S],
    pub(crate) to: &'a mut [T],
}
impl<S: Element, T: Element> SimdTask for Round<'_, S, T> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        for at in (0..self.to.len()).step_by(LANES) {
            store::<I, T>(self.to, at, load(self.from, at));
        }
    }
}

/// A bf16 copy.
pub(crate) fn rounded<S: Element>(device: &Device, values: &[S]) -> Buffer<bf16> {
    copied(device, values)
}

/// An f32 copy.
pub(crate) fn widened(device: &Device, values: &[bf16]) -> Buffer<f32> {
    copied(device, values)
}

fn copied<S: Element, T: Element>(device: &Device, values: &[S]) -> Buffer<T> {
    let mut out = device.buffer::<T>(values.len());
    round_into(device, values, &mut out);
    out
}

/// Copies elements into an array of another type and of the same length.
pub(crate) fn round_into<S: Element, T: Element>(device: &Device, values: &[S], out: &mut [T]) {
    const BLOCK: usize = 1 << 14;
    assert_eq!(values.len(), out.len(), "a copy's length");
    device.for_each_block(out, BLOCK, |index, to| {
        device.isa().run(Round { from: &values[index * BLOCK..][..to.len()], to });
    });
}

/// `[rows, columns]` -> `[columns, rows]`.
pub(crate) fn transposed<T: Element>(device: &Device, rows: usize, columns: usize, values: &[T]) -> Buffer<T> {
    const TILE: usize = 32;
    assert_eq!(values.len(), rows * columns);
    let mut out = device.buffer::<T>(values.len());
    device.for_each_block(&mut out, TILE * rows, |index, out| {
        let first = index * TILE;
        let width = out.len() / rows.max(1);
        let whole = rows - rows % TILE;
        for row in (0..whole).step_by(TILE) {
            let from = &values[row * columns + first..];
            match width {
                TILE => device.isa().run(TransposeTile::<T, TILE> { from, columns, out: &mut out[row..], rows }),
                _ => transpose_edge(from, columns, &mut out[row..], rows, (TILE, width)),
            }
        }
        if whole < rows {
            transpose_edge(&values[whole * columns + first..], columns, &mut out[whole..], rows, (rows - whole, width));
        }
    });
    out
}

/// `out[c * rows + r] = from[r * columns + c]` for `height` by `width` elements.
fn transpose_edge<T: Element>(from: &[T], columns: usize, out: &mut [T], rows: usize, (height, width): (usize, usize)) {
    for c in 0..width {
        for r in 0..height {
            out[c * rows + r] = from[r * columns + c];
        }
    }
}

/// The same for a square of `N`, whose loops have a fixed length.
struct TransposeTile<'a, T, const N: usize> {
    from: &'a [T],
    columns: usize,
    out: &'a mut [T],
    rows: usize,
}
impl<T: Element, const N: usize> SimdTask for TransposeTile<'_, T, N> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        let mut tile = [[T::from_f32(0.0); N]; N];
        for r in 0..N {
            let row = &self.from[r * self.columns..][..N];
            for c in 0..N {
                tile[c][r] = row[c];
            }
        }
        for c in 0..N {
            self.out[c * self.rows..][..N].copy_from_slice(&tile[c]);
        }
    }
}
