//! bf16 products on packed panels: division into blocks, edges, and what happens to a finished tile.

use half::bf16;

#[cfg(target_arch = "x86_64")]
use super::pack::K_STEP;
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
    /// Whether an output of `[m, n]` is written past the caches: it is larger than they are, and each row begins on a
    /// cache line.
    #[cfg(target_arch = "x86_64")]
    fn streams(self, m: usize, n: usize) -> bool {
        let (address, width) = match self {
            Target::F32(out) => (out as usize, size_of::<f32>()),
            Target::Bf16(out) => (out as usize, size_of::<bf16>()),
            Target::AddF32(_) => return false,
        };
        m * n * width >= STREAM_BYTES && address.is_multiple_of(64) && (n * width).is_multiple_of(64)
    }

    fn of(out: Out<'_>) -> Self {
        match out {
            Out::F32(out) => Target::F32(out.as_mut_ptr()),
            Out::AddF32(out) => Target::AddF32(out.as_mut_ptr()),
            Out::Bf16(out) => Target::Bf16(out.as_mut_ptr()),
        }
    }
}

/// `out = a[m, k] b` on tiles, whatever gives their left rows. Sums run along k in one order, so blocks may be
/// of any size.
#[cfg(target_arch = "x86_64")]
pub(super) fn matmul_amx(
    device: &Device,
    m: usize,
    lhs: impl Fn(usize) -> super::amx::LhsTile + Sync,
    b: &PackedRhs,
    out: Out<'_>,
) {
    let n = b.n();
    if m == 0 || n == 0 {
        return;
    }
    let steps = b.k_padded() / K_STEP;
    if steps > 2 * CHUNK_STEPS {
        return in_chunks(device, m, lhs, b, out);
    }
    matmul_steps(device, m, &lhs, b, Target::of(out), 0..steps);
}

/// Outputs of this size and more are written past the caches (docs/LOG.md has what smaller ones lose).
#[cfg(target_arch = "x86_64")]
const STREAM_BYTES: usize = 64 << 20;

/// Right operands larger than this (8 MB) come from memory.
#[cfg(target_arch = "x86_64")]
const PREFETCH_ELEMENTS: usize = 4 << 20;

/// Steps along k that are done together where there are more than twice as many: longer rows and panels would
/// stream through the caches for every tile.
#[cfg(target_arch = "x86_64")]
const CHUNK_STEPS: usize = 64;

#[cfg(target_arch = "x86_64")]
fn in_chunks(
    device: &Device,
    m: usize,
    lhs: impl Fn(usize) -> super::amx::LhsTile + Sync,
    b: &PackedRhs,
    out: Out<'_>,
) {
    let steps = b.k_padded() / K_STEP;
    let run = |sums: &mut [f32], add: bool| {
        for first in (0..steps).step_by(CHUNK_STEPS) {
            let pointer = sums.as_mut_ptr();
            let target = if add || first > 0 { Target::AddF32(pointer) } else { Target::F32(pointer) };
            matmul_steps(device, m, &lhs, b, target, first..(first + CHUNK_STEPS).min(steps));
        }
    };
    match out {
        Out::F32(out) => run(out, false),
        Out::AddF32(out) => run(out, true),
        Out::Bf16(out) => {
            let mut sums = device.buffer::<f32>(out.len());
            run(&mut sums, false);
            out.copy_from_slice(&super::rounded(device, &sums));
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn matmul_steps(
    device: &Device,
    m: usize,
    lhs: &(impl Fn(usize) -> super::amx::LhsTile + Sync),
    b: &PackedRhs,
    target: Target,
    steps: std::ops::Range<usize>,
) {
    let n = b.n();
    // A block's right panels and left rows stay in the second-level cache together.
    const ROWS: usize = 128;
    const PANEL_ELEMENTS: usize = 1 << 18;
    let mut columns = (PANEL_ELEMENTS / (K_STEP * steps.len()).max(1)).clamp(64, 512) / TILE_COLUMNS * TILE_COLUMNS;
    let row_blocks = m.div_ceil(ROWS);
    while columns > 64 && row_blocks * n.div_ceil(columns) < 8 * device.n_threads() {
        columns /= 2;
    }
    let stream = target.streams(m, n);
    device.for_each(row_blocks * n.div_ceil(columns), |index| {
        // Neighbouring blocks share their columns, so that a thread finds the panels in its cache.
        let (row, column) = (index % row_blocks * ROWS, index / row_blocks * columns);
        super::amx::block(&super::amx::Block {
            rows: row..(row + ROWS).min(m),
            columns: column..(column + columns).min(n),
            steps: steps.clone(),
            lhs,
            rhs: b,
            target,
            n,
            prefetch: b.n() * b.k_padded() > PREFETCH_ELEMENTS,
            stream,
        });
    });
}

/// `out = a[m, k] b`.
pub(super) fn matmul(device: &Device, m: usize, a: &[bf16], b: &PackedRhs, out: Out<'_>) {
    let (n, k) = (b.n(), b.k());
    if m == 0 || n == 0 {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if device.isa() == crate::Isa::Amx {
        return rows_amx(device, m, (a, k), b, out);
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
    let target = Target::of(out);
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

/// `out = a^T b` with `a` stored as `[k, m]`: each task packs the columns it needs, multiplies them with the whole of
/// `b`, and forgets them.
#[cfg(target_arch = "x86_64")]
pub(super) fn columns_amx(device: &Device, m: usize, (a, stride): (&[bf16], usize), b: &PackedRhs, out: Out<'_>) {
    let (n, k) = (b.n(), b.k());
    if m == 0 || n == 0 {
        return;
    }
    let (target, steps, k_padded) = (Target::of(out), b.k_padded() / K_STEP, b.k_padded());
    let rows_a_task = task_rows(m, device.n_threads());
    device.for_each(m.div_ceil(rows_a_task), |index| {
        let row = index * rows_a_task;
        let width = rows_a_task.min(m - row);
        let mut packed = device.buffer::<bf16>(width.next_multiple_of(MAX_TILE_ROWS) * k_padded);
        super::pack::pack_columns(&mut packed, (k, stride), a, (row, width));
        let lhs = |tile: usize| super::amx::LhsTile {
            pointer: packed[(tile - row) * k_padded..][..MAX_TILE_ROWS * k_padded].as_ptr(),
            row_bytes: 64,
            half_bytes: PANEL * k_padded * size_of::<bf16>(),
            step_bytes: 1024,
        };
        super::amx::block(&super::amx::Block {
            rows: row..row + width,
            columns: 0..n,
            steps: 0..steps,
            lhs,
            rhs: b,
            target,
            n,
            prefetch: false,
            stream: false,
        });
    });
}

/// Rows of a task: as many as share the right operand's panels well, as few as keep all threads at work.
#[cfg(target_arch = "x86_64")]
fn task_rows(m: usize, n_threads: usize) -> usize {
    let longest = |rows: usize| m.div_ceil(rows).div_ceil(n_threads) * rows;
    [128, 96, 64, 32].into_iter().min_by_key(|&rows| longest(rows)).unwrap_or(128)
}

/// `out = a[m, k] b`, rows of `a` being `stride` apart.
#[cfg(target_arch = "x86_64")]
pub(super) fn rows_amx(device: &Device, m: usize, (a, stride): (&[bf16], usize), b: &PackedRhs, out: Out<'_>) {
    use super::amx::LhsTile;
    let k = b.k();
    // Whole rows are read where they lie; the last, incomplete tile, and rows that are no whole steps, from a
    // padded copy.
    let whole = if k == b.k_padded() { m - m % MAX_TILE_ROWS } else { 0 };
    let k_padded = b.k_padded();
    let mut rest = device.zeros::<bf16>((m - whole).next_multiple_of(MAX_TILE_ROWS) * k_padded);
    for (to, from) in rest.chunks_exact_mut(k_padded.max(1)).zip(a[whole * stride..].chunks(stride.max(1))) {
        to[..k].copy_from_slice(&from[..k]);
    }
    let lhs = |row: usize| {
        let (rows, stride) =
            if row < whole { (&a[row * stride..], stride) } else { (&rest[(row - whole) * k_padded..], k_padded) };
        let row_bytes = stride * size_of::<bf16>();
        assert!(rows.len() >= (MAX_TILE_ROWS - 1) * stride + k_padded, "left operand is too short");
        LhsTile { pointer: rows.as_ptr(), row_bytes, half_bytes: PANEL * row_bytes, step_bytes: 64 }
    };
    matmul_amx(device, m, lhs, b, out);
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
