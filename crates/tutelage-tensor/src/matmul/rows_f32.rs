//! f32 products whose rows do not depend on the rows beside them: every element is a sum of its own, in one order. For
//! serving, where batches change from step to step; the weights are read once for all rows.

use std::ops::Range;

use super::product::Out;
use crate::device::DisjointOut;
use crate::simd::{Instructions, LANES, SimdTask, fold, load, multiply_add};
use crate::{Device, Element, Isa};

/// Columns of a task.
const COLUMNS: usize = 32;
/// Rows of a task: with its columns they stay in the second-level cache.
const ROWS: usize = 32;
/// Most rows and columns that are summed together.
pub(super) const TILE: usize = 4;

/// Rows of the right operand, `[n, k]`.
pub(super) trait Right: Sync {
    /// Some of them, which may be made in `room`, of their size.
    fn rows<'s>(&'s self, columns: Range<usize>, k: usize, room: &'s mut Vec<f32>) -> &'s [f32];
}

impl Right for [f32] {
    fn rows<'s>(&'s self, columns: Range<usize>, k: usize, _: &'s mut Vec<f32>) -> &'s [f32] {
        &self[columns.start * k..columns.end * k]
    }
}

/// `out = a[m, k] b^T` for `b [n, k]`.
pub(super) fn matmul<R: Right + ?Sized>(
    device: &Device,
    (m, n, k): (usize, usize, usize),
    a: &[f32],
    b: &R,
    out: Out<'_>,
) {
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

fn blocks<T: Send, R: Right + ?Sized>(
    device: &Device,
    (m, n, k): (usize, usize, usize),
    a: &[f32],
    b: &R,
    out: &mut [T],
    value: impl Fn(usize, f32) -> T + Sync,
) {
    let (out, isa) = (DisjointOut::new(out), device.isa());
    // Sums stay in registers, of which there are 32 of 16 numbers, or 16 of 8.
    let tile = if isa <= Isa::Avx512 { TILE } else { TILE / 2 };
    let row_blocks = m.div_ceil(ROWS);
    device.for_each(row_blocks * n.div_ceil(COLUMNS), |index| {
        // Neighbouring tasks share their columns.
        let (first_row, first_column) = (index % row_blocks * ROWS, index / row_blocks * COLUMNS);
        let (rows, columns) = (first_row..(first_row + ROWS).min(m), first_column..(first_column + COLUMNS).min(n));
        let mut room = Vec::new();
        let b = b.rows(columns.clone(), k, &mut room);
        for column in columns.clone().step_by(tile) {
            let width = tile.min(columns.end - column);
            for row in rows.clone().step_by(tile) {
                let height = tile.min(rows.end - row);
                let b = &b[(column - columns.start) * k..][..width * k];
                let task = Sums { a: &a[row * k..(row + height) * k], b, k };
                let sums = sums(isa, &task, (height, width));
                for (row, sums) in (row..row + height).zip(&sums) {
                    let at = row * n + column;
                    // SAFETY: tasks differ in their rows or columns.
                    let to = unsafe { out.slice(at, width) };
                    for (i, (to, &sum)) in to.iter_mut().zip(sums).enumerate() {
                        *to = value(at + i, sum);
                    }
                }
            }
        }
    });
}

/// Some rows of both operands, each of `k`.
pub(super) struct Sums<'a> {
    pub(super) a: &'a [f32],
    pub(super) b: &'a [f32],
    pub(super) k: usize,
}

/// Their products: for each 16 sums, each of every sixteenth element, folded in the end.
fn sums(isa: Isa, task: &Sums<'_>, (rows, columns): (usize, usize)) -> [[f32; TILE]; TILE] {
    let mut lanes = [[[0.0; LANES]; TILE]; TILE];
    let done = whole_sums(isa, task, (rows, columns), &mut lanes);
    let mut out = [[0.0; TILE]; TILE];
    for (r, left) in task.a.chunks_exact(task.k.max(1)).enumerate() {
        for (c, right) in task.b.chunks_exact(task.k.max(1)).enumerate() {
            let lanes = &mut lanes[r][c];
            if done < task.k {
                isa.run(Rest { left: &left[done..], right: &right[done..], lanes });
            }
            out[r][c] = fold(*lanes);
        }
    }
    out
}

/// The sums as far as registers are filled; returns how many elements were taken.
#[cfg(target_arch = "x86_64")]
fn whole_sums(isa: Isa, task: &Sums<'_>, size: (usize, usize), lanes: &mut super::rows_x86::Lanes) -> usize {
    use super::rows_x86::{avx2, avx512};
    let whole = task.k / LANES * LANES;
    macro_rules! tiles {
        ($kernel:ident $($rows:literal $columns:literal)*) => {
            match size {
                // SAFETY: the device holds the instruction set only after it was found.
                $(($rows, $columns) => unsafe { $kernel::<$rows, $columns>(task, whole, lanes) },)*
                _ => unreachable!("a tile of {size:?}"),
            }
        };
    }
    match isa {
        Isa::Amx | Isa::Avx512Bf16 | Isa::Avx512 => {
            tiles!(avx512 1 1 1 2 1 3 1 4 2 1 2 2 2 3 2 4 3 1 3 2 3 3 3 4 4 1 4 2 4 3 4 4);
        }
        Isa::Avx2 => tiles!(avx2 1 1 1 2 2 1 2 2),
        Isa::Portable => return 0,
    }
    whole
}

/// Nothing here has such registers.
#[cfg(not(target_arch = "x86_64"))]
fn whole_sums(_: Isa, _: &Sums<'_>, _: (usize, usize), _: &mut [[[f32; LANES]; TILE]; TILE]) -> usize {
    0
}

/// What is left of two rows.
struct Rest<'a> {
    left: &'a [f32],
    right: &'a [f32],
    lanes: &'a mut [f32; LANES],
}

impl SimdTask for Rest<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        let mut lanes = *self.lanes;
        for at in (0..self.left.len()).step_by(LANES) {
            let (left, right) = (load(self.left, at), load(self.right, at));
            for i in 0..LANES {
                lanes[i] = multiply_add::<I>(left[i], right[i], lanes[i]);
            }
        }
        *self.lanes = lanes;
    }
}
