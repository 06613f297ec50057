//! A small f32 matrix product on operands that lie in cache, for attention's blocks.

use super::instructions::Instructions;
use super::isa::{Isa, SimdTask};
use super::multiply_add;

/// A matrix read as `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

/// `c[m, n] (+)= a[m, k] b[k, n]`, `b` and `c` row-major with row strides `ldb` and `ldc`.
pub(crate) struct BlockProduct<'a> {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) a: Strided<'a>,
    pub(crate) b: &'a [f32],
    pub(crate) ldb: usize,
    pub(crate) c: &'a mut [f32],
    pub(crate) ldc: usize,
    pub(crate) accumulate: bool,
}

const ROWS: usize = 6;
const COLUMNS: usize = 16;

impl SimdTask for BlockProduct<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(mut self) {
        let mut j = 0;
        while j < self.n {
            let columns = COLUMNS.min(self.n - j);
            let mut i = 0;
            while i < self.m {
                let rows = ROWS.min(self.m - i);
                match (rows, columns) {
                    (ROWS, COLUMNS) => self.tile::<I, ROWS, COLUMNS>(i, j),
                    (_, COLUMNS) => {
                        for row in i..i + rows {
                            self.tile::<I, 1, COLUMNS>(row, j);
                        }
                    }
                    _ => {
                        for row in i..i + rows {
                            self.edge::<I>(row, j, columns);
                        }
                    }
                }
                i += rows;
            }
            j += columns;
        }
    }
}

impl BlockProduct<'_> {
    /// Computes the product with an instruction set that a device has.
    pub(crate) fn compute(self, isa: Isa) {
        #[cfg(target_arch = "x86_64")]
        if isa <= Isa::Avx512 {
            // SAFETY: a `Device` holds such an `Isa` only after AVX-512 was found.
            unsafe { super::block_product_avx512::product(self) };
            return;
        }
        isa.run(self);
    }

    #[inline(always)]
    fn tile<I: Instructions, const R: usize, const C: usize>(&mut self, i: usize, j: usize) {
        let mut sums = [[0.0f32; C]; R];
        for p in 0..self.k {
            let b: &[f32; C] = match self.b[p * self.ldb + j..].first_chunk() {
                Some(b) => b,
                None => unreachable!("b is shorter than k rows"),
            };
            for r in 0..R {
                let a = self.a.data[(i + r) * self.a.row_stride + p * self.a.column_stride];
                for c in 0..C {
                    sums[r][c] = multiply_add::<I>(a, b[c], sums[r][c]);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            let start = (i + r) * self.ldc + j;
            let out = &mut self.c[start..start + C];
            for c in 0..C {
                out[c] = if self.accumulate { out[c] + sums[c] } else { sums[c] };
            }
        }
    }

    #[inline(always)]
    fn edge<I: Instructions>(&mut self, i: usize, j: usize, columns: usize) {
        let mut sums = [0.0f32; COLUMNS];
        for p in 0..self.k {
            let b = &self.b[p * self.ldb + j..p * self.ldb + j + columns];
            let a = self.a.data[i * self.a.row_stride + p * self.a.column_stride];
            for (sum, &b) in sums.iter_mut().zip(b) {
                *sum = multiply_add::<I>(a, b, *sum);
            }
        }
        let start = i * self.ldc + j;
        for (out, &sum) in self.c[start..start + columns].iter_mut().zip(&sums) {
            *out = if self.accumulate { *out + sum } else { sum };
        }
    }
}
