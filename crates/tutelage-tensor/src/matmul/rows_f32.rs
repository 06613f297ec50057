//! f32 products whose rows do not depend on the rows beside them: every element is a sum of its own, in one order. For
//! serving, where batches change from step to step; the weights are read once for all rows.

use super::product::Out;
use crate::device::DisjointOut;
use crate::simd::{Instructions, LANES, SimdTask, fold, load, multiply_add};
use crate::{Device, Element};

/// Columns of a task.
const COLUMNS: usize = 32;
/// Rows and columns that are summed together.
const TILE: usize = 4;

/// `out = a[m, k] b^T` for `b [n, k]`.
pub(super) fn matmul(device: &Device, (m, n, k): (usize, usize, usize), a: &[f32], b: &[f32], out: Out<'_>) {
    assert_eq!(b.len(), n * k, "f32 product: right operand of {} elements", b.len());
    match out {
        Out::F32(out) => blocks(device, (m, n, k), a, b, out, |_, sum| sum),
        Out::AddF32(out) => {
            let before = out.to_vec();
            blocks(device, (m, n, k), a, b, out, |at, sum| before[at] + sum);
        }
        Out::SumF32 { from, out } => blocks(device, (m, n, k), a, b, out, |at, sum| from[at] + sum),
        Out::Bf16(out) => blocks(device, (m, n, k), a, b, out, |_, sum| Element::from_f32(sum)),
    }
}

fn blocks<T: Send>(
    device: &Device,
    (m, n, k): (usize, usize, usize),
    a: &[f32],
    b: &[f32],
    out: &mut [T],
    value: impl Fn(usize, f32) -> T + Sync,
) {
    let out = DisjointOut::new(out);
    device.for_each(n.div_ceil(COLUMNS), |index| {
        let columns = index * COLUMNS..((index + 1) * COLUMNS).min(n);
        for column in columns.clone().step_by(TILE) {
            let width = TILE.min(columns.end - column);
            for row in (0..m).step_by(TILE) {
                let height = TILE.min(m - row);
                let mut sums = [[0.0; TILE]; TILE];
                let task = Sums { a: &a[row * k..(row + height) * k], b: &b[column * k..(column + width) * k], k };
                match height {
                    1 => device.isa().run(Tile::<1>(task, &mut sums)),
                    2 => device.isa().run(Tile::<2>(task, &mut sums)),
                    3 => device.isa().run(Tile::<3>(task, &mut sums)),
                    _ => device.isa().run(Tile::<TILE>(task, &mut sums)),
                }
                for (row, sums) in (row..row + height).zip(&sums) {
                    let at = row * n + column;
                    // SAFETY: tasks differ in their columns.
                    let to = unsafe { out.slice(at, width) };
                    for (i, (to, &sum)) in to.iter_mut().zip(sums).enumerate() {
                        *to = value(at + i, sum);
                    }
                }
            }
        }
    });
}

/// Some rows of both operands.
struct Sums<'a> {
    a: &'a [f32],
    b: &'a [f32],
    k: usize,
}

/// Their products, of `ROWS` rows of the left operand.
struct Tile<'a, const ROWS: usize>(Sums<'a>, &'a mut [[f32; TILE]; TILE]);

impl<const ROWS: usize> SimdTask for Tile<'_, ROWS> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        let Sums { a, b, k } = self.0;
        let rows: [&[f32]; ROWS] = std::array::from_fn(|row| &a[row * k..][..k]);
        for (column, b) in b.chunks_exact(k.max(1)).enumerate() {
            let mut lanes = [[0.0; LANES]; ROWS];
            for at in (0..k).step_by(LANES) {
                let right = load(b, at);
                for (lanes, row) in lanes.iter_mut().zip(rows) {
                    let left = load(row, at);
                    for i in 0..LANES {
                        lanes[i] = multiply_add::<I>(left[i], right[i], lanes[i]);
                    }
                }
            }
            for (to, lanes) in self.1.iter_mut().zip(lanes) {
                to[column] = fold(lanes);
            }
        }
    }
}
