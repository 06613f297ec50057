//! bf16 products on packed panels without tiles: division into blocks, edges, and what happens to a finished tile.

use half::bf16;

use super::pack::{PANEL, PackedRhs};
use super::product::Out;
use crate::{Device, Element};

/// Rows of a block: a multiple of all kernels' row counts (12 and 32).
const BLOCK_ROWS: usize = 96;
/// Columns of a block.
const BLOCK_COLUMNS: usize = 64;
/// Columns of a tile: two panels.
pub(super) const TILE_COLUMNS: usize = 2 * PANEL;
/// Most rows of a tile.
pub(super) const MAX_TILE_ROWS: usize = 32;

/// One finished tile, `[rows][TILE_COLUMNS]`.
pub(super) type Tile = [f32; MAX_TILE_ROWS * TILE_COLUMNS];

/// Left rows of a tile: a pointer to `rows` rows of `k` rounded up to pairs readable elements, `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct LhsRows {
    pub(super) pointer: *const bf16,
    pub(super) stride: usize,
    pub(super) rows: usize,
}

/// Where a product goes.
#[derive(Clone, Copy)]
pub(super) enum Target {
    F32(*mut f32),
    AddF32(*mut f32),
    Bf16(*mut bf16),
}

// SAFETY: blocks write disjoint parts of the output (see `store`).
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    fn of(device: &Device, out: Out<'_>) -> Self {
        const BLOCK: usize = 1 << 14;
        match out {
            Out::F32(out) => Target::F32(out.as_mut_ptr()),
            Out::AddF32(out) => Target::AddF32(out.as_mut_ptr()),
            Out::SumF32 { from, out } => {
                device.for_each_block(out, BLOCK, |i, to| to.copy_from_slice(&from[i * BLOCK..][..to.len()]));
                Target::AddF32(out.as_mut_ptr())
            }
            Out::Bf16(out) => Target::Bf16(out.as_mut_ptr()),
        }
    }
}

/// `out = a[m, k] b`.
pub(super) fn matmul(device: &Device, m: usize, a: &[bf16], b: &PackedRhs, out: Out<'_>) {
    let (n, k) = (b.n(), b.k());
    if m == 0 || n == 0 {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if device.isa() == crate::Isa::Amx {
        return super::tiles::rows(device, m, a, b, out);
    }
    let kernel = Kernel::for_device(device);
    // Kernels read whole pairs along k; a row whose length does not fit is copied and padded.
    let k_read = k.next_multiple_of(2);
    let padded;
    let (a, stride) = if k_read == k {
        (a, k)
    } else {
        let mut copy = device.zeros::<bf16>(m * k_read);
        for (to, from) in copy.chunks_exact_mut(k_read).zip(a.chunks_exact(k.max(1))) {
            to[..k].copy_from_slice(from);
        }
        padded = copy;
        (&padded[..], k_read)
    };
    let target = Target::of(device, out);
    let row_blocks = m.div_ceil(BLOCK_ROWS);
    let column_blocks = n.div_ceil(BLOCK_COLUMNS);
    device.for_each(row_blocks * column_blocks, |index| {
        // Neighbouring blocks share their columns, so that a thread finds the panels in its cache.
        let (row_start, column_start) = ((index % row_blocks) * BLOCK_ROWS, (index / row_blocks) * BLOCK_COLUMNS);
        let row_end = (row_start + BLOCK_ROWS).min(m);
        let column_end = (column_start + BLOCK_COLUMNS).min(n);
        let mut tile = [0.0; MAX_TILE_ROWS * TILE_COLUMNS];
        for column in (column_start..column_end).step_by(TILE_COLUMNS) {
            let left = b.panel(column / PANEL);
            let right = (column + PANEL < n).then(|| b.panel(column / PANEL + 1));
            let columns = TILE_COLUMNS.min(n - column);
            let mut row = row_start;
            while row < row_end {
                let rows = kernel.tile_rows().min(row_end - row);
                let lhs = LhsRows { pointer: a[row * stride..].as_ptr(), stride, rows };
                kernel.tile(lhs, left, right, b, &mut tile);
                store(target, &tile, (row, rows), (column, columns), n);
                row += rows;
            }
        }
    });
}

/// Writes a tile's valid part.
fn store(target: Target, tile: &Tile, (row, rows): (usize, usize), (column, columns): (usize, usize), n: usize) {
    for (r, tile_row) in tile.chunks_exact(TILE_COLUMNS).take(rows).enumerate() {
        let at = (row + r) * n + column;
        let tile_row = &tile_row[..columns];
        // SAFETY: `row + r < m` and `column + columns <= n`, so the range lies inside the output of m * n
        // elements, and no other block holds this row and column; the output outlives `for_each`.
        unsafe {
            match target {
                Target::F32(out) => std::slice::from_raw_parts_mut(out.add(at), columns).copy_from_slice(tile_row),
                Target::AddF32(out) => {
                    let out = std::slice::from_raw_parts_mut(out.add(at), columns);
                    for (to, &from) in out.iter_mut().zip(tile_row) {
                        *to += from;
                    }
                }
                Target::Bf16(out) => {
                    let out = std::slice::from_raw_parts_mut(out.add(at), columns);
                    for (to, &from) in out.iter_mut().zip(tile_row) {
                        *to = Element::from_f32(from);
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Kernel {
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    /// Plain loops over the packed layout: for machines that are handed a packed operand without having
    /// the instructions. Only tests do that.
    Loops,
}

impl Kernel {
    fn for_device(device: &Device) -> Self {
        match device.isa() {
            #[cfg(target_arch = "x86_64")]
            crate::Isa::Avx512Bf16 => Kernel::Avx512Bf16,
            _ => Kernel::Loops,
        }
    }

    fn tile_rows(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Bf16 => super::avx512_bf16::ROWS,
            _ => MAX_TILE_ROWS,
        }
    }

    fn tile(self, lhs: LhsRows, left: &[bf16], right: Option<&[bf16]>, b: &PackedRhs, tile: &mut Tile) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Bf16 => super::avx512_bf16::tile(lhs, left, right, b.k().div_ceil(2), tile),
            Kernel::Loops => loops(lhs, left, right, b.k().div_ceil(2), tile),
        }
    }
}

/// The layout's meaning in plain loops.
fn loops(lhs: LhsRows, left: &[bf16], right: Option<&[bf16]>, pairs: usize, tile: &mut Tile) {
    for r in 0..lhs.rows {
        // SAFETY: the caller gives `rows` rows of at least `2 * pairs` elements.
        let row = unsafe { std::slice::from_raw_parts(lhs.pointer.add(r * lhs.stride), 2 * pairs) };
        for (half, panel) in [Some(left), right].into_iter().enumerate() {
            let Some(panel) = panel else { continue };
            for j in 0..PANEL {
                let mut sum = 0.0f32;
                for (p, pair) in row.as_chunks::<2>().0.iter().enumerate() {
                    let at = (p * PANEL + j) * 2;
                    sum += pair[0].to_f32() * panel[at].to_f32();
                    sum += pair[1].to_f32() * panel[at + 1].to_f32();
                }
                tile[r * TILE_COLUMNS + half * PANEL + j] = sum;
            }
        }
    }
}
