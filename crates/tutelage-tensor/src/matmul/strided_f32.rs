//! f32 products through the `gemm` crate, in blocks of fixed size.

use half::bf16;

use super::product::Out;
use crate::{Device, Element};

/// Rows of a block: the product packs the whole right operand for each, so few are better, but enough for all threads.
/// A function of `m` alone, so that results do not depend on anything else.
fn block_rows(m: usize) -> usize {
    (m / 8).next_multiple_of(32).clamp(64, 512)
}

/// f32 elements, with the distances between rows and between columns.
pub(super) type Strided<'a> = (&'a [f32], usize, usize);

/// `out = a[m, k] b[k, n]`.
pub(super) fn matmul(
    device: &Device,
    (m, n, k): (usize, usize, usize),
    (a, a_row_stride, a_column_stride): Strided<'_>,
    (b, row_stride, column_stride): Strided<'_>,
    out: Out<'_>,
) {
    if m == 0 || n == 0 {
        return;
    }
    let block_rows = block_rows(m);
    let last = k.saturating_sub(1) * row_stride + (n - 1) * column_stride;
    assert!(k == 0 || last < b.len(), "f32 product: right operand of {} elements is too short", b.len());
    let last = k.saturating_sub(1) * a_column_stride + (m - 1) * a_row_stride;
    assert!(k == 0 || last < a.len(), "f32 product: left operand of {} elements is too short", a.len());
    let block = |index: usize, rows: usize, c: &mut [f32], accumulate: bool| {
        debug_assert_eq!(c.len(), rows * n);
        // SAFETY: `c` has `rows * n` elements, and the largest indices into `a` and `b` were checked above. Strides are
        // in elements.
        unsafe {
            gemm::gemm(
                rows,
                n,
                k,
                c.as_mut_ptr(),
                1,
                n as isize,
                accumulate,
                if k == 0 { a.as_ptr() } else { a[index * block_rows * a_row_stride..].as_ptr() },
                a_column_stride as isize,
                a_row_stride as isize,
                b.as_ptr(),
                column_stride as isize,
                row_stride as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    };
    match out {
        Out::F32(out) => device.for_each_block(out, block_rows * n, |index, c| block(index, c.len() / n, c, false)),
        Out::AddF32(out) => device.for_each_block(out, block_rows * n, |index, c| block(index, c.len() / n, c, true)),
        Out::SumF32 { from, out } => device.for_each_block(out, block_rows * n, |index, c| {
            c.copy_from_slice(&from[index * block_rows * n..][..c.len()]);
            block(index, c.len() / n, c, true);
        }),
        Out::Bf16(out) => device.for_each_block(out, block_rows * n, |index, rounded: &mut [bf16]| {
            let mut c = device.buffer::<f32>(rounded.len());
            block(index, rounded.len() / n, &mut c, false);
            for (to, &from) in rounded.iter_mut().zip(c.iter()) {
                *to = Element::from_f32(from);
            }
        }),
    }
}
