//! A bias on the processor.

use super::super::ROW_BLOCK;
use crate::{Device, Element};

/// Columns whose sums a task makes.
const COLUMNS: usize = 64;

/// Writes `out = x + bias`.
pub(super) fn forward<T: Element>(device: &Device, x: &[T], bias: &[f32], out: &mut [T]) {
    let n = bias.len();
    device.for_each_block(out, ROW_BLOCK * n, |index, out| {
        let x = &x[index * ROW_BLOCK * n..];
        for (x, out) in x.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
            for ((x, b), out) in x.iter().zip(bias).zip(out) {
                *out = T::from_f32(x.to_f32() + b);
            }
        }
    });
}

/// Adds the sums of columns to `dbias`.
pub(super) fn backward<T: Element>(device: &Device, grad: &[T], dbias: &mut [f32]) {
    let n = dbias.len();
    device.for_each_block(dbias, COLUMNS, |index, dbias| {
        let first = index * COLUMNS;
        for row in grad.chunks_exact(n) {
            for (sum, x) in dbias.iter_mut().zip(&row[first..]) {
                *sum += x.to_f32();
            }
        }
    });
}
