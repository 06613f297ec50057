//! Operands, and the choice of the kernel.

use half::bf16;

use super::pack::PackedRhs;
use super::quantized::{self, QuantizedRhs};
use super::{rows_f32, strided_f32, tiled, widened};
use crate::Device;

/// Left operand, row-major `[m, k]`.
#[derive(Clone, Copy)]
pub enum Lhs<'a> {
    /// f32 elements.
    F32(&'a [f32]),
    /// bf16 elements.
    Bf16(&'a [bf16]),
    /// f32 stored as `[k, m]` and read by columns, for a right operand in f32.
    ColumnsF32(&'a [f32]),
    /// bf16 stored as `[k, m]` and read by columns, for a right operand that is packed, on tiles.
    #[cfg(target_arch = "x86_64")]
    Columns(&'a [bf16]),
}

/// Right operand `[k, n]`.
#[derive(Clone, Copy)]
pub enum Rhs<'a> {
    /// bf16, packed for the machine's bf16 instructions.
    Packed(&'a PackedRhs),
    /// f32, element `(p, j)` at `data[p * row_stride + j * column_stride]`.
    F32 {
        /// The elements.
        data: &'a [f32],
        /// Distance between rows (along `k`).
        row_stride: usize,
        /// Distance between columns (along `n`).
        column_stride: usize,
    },
    /// f32 as it is stored, `[n, k]`, for products whose rows do not depend on the rows beside them.
    RowsF32(&'a [f32]),
    /// Codes of 8 or 4 bits, for such products.
    Quantized(&'a QuantizedRhs),
}

impl<'a> Rhs<'a> {
    /// The packed operand; for weights in bf16 on a machine with instructions for it.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn packed(self) -> &'a PackedRhs {
        match self {
            Rhs::Packed(packed) => packed,
            _ => unreachable!("bf16 weights are packed for tiles"),
        }
    }
}

/// Where the result goes, row-major `[m, n]`.
pub enum Out<'a> {
    /// Overwrite f32.
    F32(&'a mut [f32]),
    /// Add to f32.
    AddF32(&'a mut [f32]),
    /// Add to f32, and write the sums elsewhere.
    SumF32 {
        /// What is added to.
        from: &'a [f32],
        /// What is written, of the same size.
        out: &'a mut [f32],
    },
    /// Round to bf16.
    Bf16(&'a mut [bf16]),
}

impl Out<'_> {
    /// Elements of the output, to be written alike.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn part(&mut self, range: std::ops::Range<usize>) -> Out<'_> {
        match self {
            Out::F32(out) => Out::F32(&mut out[range]),
            Out::AddF32(out) => Out::AddF32(&mut out[range]),
            Out::SumF32 { from, out } => Out::SumF32 { from: &from[range.clone()], out: &mut out[range] },
            Out::Bf16(out) => Out::Bf16(&mut out[range]),
        }
    }

    fn len(&self) -> usize {
        match self {
            Out::F32(out) | Out::AddF32(out) | Out::SumF32 { out, .. } => out.len(),
            Out::Bf16(out) => out.len(),
        }
    }
}

/// `out[m, n] (+)= lhs[m, k] rhs[k, n]`.
///
/// # Panics
/// When the operands do not have these sizes, or an f32 left operand meets a packed right one.
pub fn matmul(device: &Device, (m, n, k): (usize, usize, usize), lhs: Lhs<'_>, rhs: Rhs<'_>, out: Out<'_>) {
    let lhs_len = match lhs {
        Lhs::F32(a) | Lhs::ColumnsF32(a) => a.len(),
        Lhs::Bf16(a) => a.len(),
        #[cfg(target_arch = "x86_64")]
        Lhs::Columns(a) => a.len(),
    };
    assert_eq!((lhs_len, out.len()), (m * k, m * n), "matmul {m} x {n} x {k}: sizes of lhs and out");
    if let Out::SumF32 { from, .. } = &out {
        assert_eq!(from.len(), m * n, "matmul {m} x {n} x {k}: size of what is added to");
    }
    match (lhs, rhs) {
        (lhs, Rhs::Quantized(b)) => {
            assert_eq!((b.n(), b.k()), (n, k), "matmul {m} x {n} x {k}: quantised operand's n and k");
            quantized::matmul(device, m, lhs, b, out);
        }
        (Lhs::Bf16(a), Rhs::Packed(b)) => {
            assert_eq!((b.n(), b.k()), (n, k), "matmul {m} x {n} x {k}: packed operand's n and k");
            tiled::matmul(device, m, a, b, out);
        }
        (Lhs::F32(a), Rhs::F32 { data, row_stride, column_stride }) => {
            strided_f32::matmul(device, (m, n, k), (a, k, 1), (data, row_stride, column_stride), out);
        }
        (Lhs::ColumnsF32(a), Rhs::F32 { data, row_stride, column_stride }) => {
            strided_f32::matmul(device, (m, n, k), (a, 1, m), (data, row_stride, column_stride), out);
        }
        (_, Rhs::RowsF32(b)) if b.len() != n * k => panic!("f32 product: right operand of {} elements", b.len()),
        (Lhs::F32(a), Rhs::RowsF32(b)) => rows_f32::matmul(device, (m, n, k), a, b, out),
        (Lhs::Bf16(a), Rhs::RowsF32(b)) => rows_f32::matmul(device, (m, n, k), &widened(device, a), b, out),
        (Lhs::ColumnsF32(_), Rhs::RowsF32(_)) => panic!("a left operand by columns and a right one by rows"),
        (Lhs::Bf16(a), Rhs::F32 { data, row_stride, column_stride }) => {
            let wide = widened(device, a);
            strided_f32::matmul(device, (m, n, k), (&wide, k, 1), (data, row_stride, column_stride), out);
        }
        #[cfg(target_arch = "x86_64")]
        (Lhs::Columns(a), Rhs::Packed(b)) => {
            assert_eq!((b.n(), b.k()), (n, k), "matmul {m} x {n} x {k}: packed operand's n and k");
            assert!(device.isa() == crate::Isa::Amx, "a left operand by columns on {}", device.isa());
            super::tiles::columns(device, (m, m), a, b, out);
        }
        #[cfg(target_arch = "x86_64")]
        (Lhs::Columns(_), Rhs::F32 { .. } | Rhs::RowsF32(_)) => {
            panic!("a left operand by columns needs a packed right operand")
        }
        (Lhs::F32(_) | Lhs::ColumnsF32(_), Rhs::Packed(_)) => panic!("an f32 left operand needs an f32 right operand"),
    }
}
