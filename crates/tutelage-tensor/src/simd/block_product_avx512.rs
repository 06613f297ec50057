//! The block product with AVX-512: up to 8 rows by 32 columns of sums in registers, edges masked.

use std::arch::x86_64::*;

use super::BlockProduct;

const ROWS: usize = 8;
const LANES: usize = 16;

/// Computes the product.
///
/// # Safety
/// The machine must have AVX-512F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn product(product: BlockProduct<'_>) {
    let BlockProduct { m, n, k, a, b, ldb, c, ldc, accumulate } = product;
    if m == 0 || n == 0 {
        return;
    }
    let last_a = (m - 1) * a.row_stride + k.saturating_sub(1) * a.column_stride;
    assert!(k == 0 || (last_a < a.data.len() && (k - 1) * ldb + n <= b.len()), "block product: operands too short");
    assert!((m - 1) * ldc + n <= c.len(), "block product: output too short");
    let mut j = 0;
    while j < n {
        let columns = (2 * LANES).min(n - j);
        let masks = [mask(columns.min(LANES)), mask(columns.saturating_sub(LANES))];
        let mut i = 0;
        while i < m {
            let rows = ROWS.min(m - i);
            let tile = Tile {
                a: a.data[i * a.row_stride..].as_ptr(),
                strides: (a.row_stride, a.column_stride),
                b: b[j..].as_ptr(),
                ldb,
                c: c[i * ldc + j..].as_mut_ptr(),
                ldc,
                k,
                masks,
                accumulate,
            };
            // SAFETY: the last element that a tile touches of each operand was checked above; masked lanes are
            // not touched.
            unsafe {
                match (rows, columns > LANES) {
                    (8, true) => tile.run::<8, 2>(),
                    (4..8, true) => {
                        tile.run::<4, 2>();
                        tile.rest(4, rows, true);
                    }
                    (8, false) => tile.run::<8, 1>(),
                    (rows, two) => tile.rest(0, rows, two),
                }
            }
            i += rows;
        }
        j += columns;
    }
}

fn mask(columns: usize) -> __mmask16 {
    ((1u32 << columns) - 1) as __mmask16
}

#[derive(Clone, Copy)]
struct Tile {
    a: *const f32,
    strides: (usize, usize),
    b: *const f32,
    ldb: usize,
    c: *mut f32,
    ldc: usize,
    k: usize,
    masks: [__mmask16; 2],
    accumulate: bool,
}

impl Tile {
    /// Rows `from .. rows` one by one.
    ///
    /// # Safety
    /// As [`Tile::run`].
    #[target_feature(enable = "avx512f")]
    unsafe fn rest(self, from: usize, rows: usize, two: bool) {
        for row in from..rows {
            // SAFETY: the caller's promise for all rows holds for one.
            unsafe {
                let tile = Self { a: self.a.add(row * self.strides.0), c: self.c.add(row * self.ldc), ..self };
                if two { tile.run::<1, 2>() } else { tile.run::<1, 1>() }
            }
        }
    }

    /// `R` rows by `C` registers.
    ///
    /// # Safety
    /// `R` rows of `k` elements of `a`, `k` rows of `b` and `R` rows of `c` must exist under the masks.
    #[target_feature(enable = "avx512f")]
    unsafe fn run<const R: usize, const C: usize>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[_mm512_setzero_ps(); C]; R];
            for p in 0..self.k {
                let mut right = [_mm512_setzero_ps(); C];
                for (c, right) in right.iter_mut().enumerate() {
                    *right = _mm512_maskz_loadu_ps(self.masks[c], self.b.add(p * self.ldb + c * LANES));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let left = _mm512_set1_ps(*self.a.add(r * self.strides.0 + p * self.strides.1));
                    for (sum, right) in sums.iter_mut().zip(right) {
                        *sum = _mm512_fmadd_ps(left, right, *sum);
                    }
                }
            }
            for (r, sums) in sums.into_iter().enumerate() {
                for (c, sum) in sums.into_iter().enumerate() {
                    let out = self.c.add(r * self.ldc + c * LANES);
                    let before =
                        if self.accumulate { _mm512_maskz_loadu_ps(self.masks[c], out) } else { _mm512_setzero_ps() };
                    _mm512_mask_storeu_ps(out, self.masks[c], _mm512_add_ps(before, sum));
                }
            }
        }
    }
}
