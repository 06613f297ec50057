//! bf16 products on tiles: division into blocks, and what their sums go to.
//!
//! Sums run along k in one order, so blocks may be of any size.

use std::ops::Range;

use half::bf16;

use super::amx::{Block, Panels, Term, block};
use super::epilogue::{AddF32, Epilogue, Stream, WriteBf16, WriteF32};
use super::left::{Left, LeftColumns, LeftRows};
use super::pack::{K_STEP, PackedRhs};
use super::product::Out;
use super::tiled::TILE_COLUMNS;
use crate::Device;
use crate::device::DisjointOut;

/// Outputs of this size and more are written past the caches (docs/LOG.md has what smaller ones lose).
const STREAM_BYTES: usize = 64 << 20;
/// Right operands larger than this (8 MB) come from memory.
const PREFETCH_ELEMENTS: usize = 4 << 20;
/// Steps along k that are done together where there are more than twice as many: longer rows and panels would
/// stream through the caches for every tile.
const CHUNK_STEPS: usize = 64;
/// Rows of a block.
const ROWS: usize = 128;

/// `out = a[m, k] b`.
pub(super) fn rows(device: &Device, m: usize, a: &[bf16], b: &PackedRhs, out: Out<'_>) {
    let left = LeftRows::new(device, m, b.k(), a);
    let steps = b.k_padded() / K_STEP;
    let term = [Term { left: &left, right: Panels::of(b) }];
    let n = b.n();
    // Never zero, so that it can be stepped by; `first` is, where there are no steps.
    let chunk = if steps > 2 * CHUNK_STEPS { CHUNK_STEPS } else { steps.max(1) };
    let first = 0..chunk.min(steps);
    let add = |sums: &mut [f32], start: usize| {
        for start in (start..steps).step_by(chunk) {
            sum(device, m, &term, start..(start + chunk).min(steps), &AddF32::to(sums, n));
        }
    };
    match out {
        Out::F32(out) => {
            let stream = streams(m, n, out);
            let epilogue = WriteF32 { out: DisjointOut::new(out), n };
            write_or_stream(device, m, &term, first, epilogue, stream);
            add(out, chunk);
        }
        Out::SumF32 { from, out } => {
            sum(device, m, &term, first, &AddF32::sum(from, out, n));
            add(out, chunk);
        }
        Out::AddF32(out) => add(out, 0),
        Out::Bf16(out) if chunk < steps => {
            let mut sums = device.buffer::<f32>(out.len());
            sum(device, m, &term, first, &WriteF32 { out: DisjointOut::new(&mut sums), n });
            add(&mut sums, chunk);
            out.copy_from_slice(&super::rounded(device, &sums));
        }
        Out::Bf16(out) => {
            let stream = streams(m, n, out);
            write_or_stream(device, m, &term, first, WriteBf16 { out: DisjointOut::new(out), n }, stream);
        }
    }
}

fn write_or_stream<L: Left, E: Epilogue>(
    device: &Device,
    m: usize,
    terms: &[Term<'_, L>],
    steps: Range<usize>,
    epilogue: E,
    stream: bool,
) where
    Stream<E>: Epilogue,
{
    if stream {
        sum(device, m, terms, steps, &Stream(epilogue));
    } else {
        sum(device, m, terms, steps, &epilogue);
    }
}

/// Whether an output of `[m, n]` is written past the caches: it is larger than they are, and each row begins on a
/// cache line and consists of whole tiles.
fn streams<T>(m: usize, n: usize, out: &[T]) -> bool {
    m * n * size_of::<T>() >= STREAM_BYTES && out.as_ptr().addr().is_multiple_of(64) && n.is_multiple_of(TILE_COLUMNS)
}

/// The sum of products of `m` rows, over the whole of k, for an epilogue of one's own.
pub(crate) fn product<L: Left>(device: &Device, m: usize, terms: &[Term<'_, L>], epilogue: &impl Epilogue) {
    let steps = terms.first().map_or(0, |term| term.right.n_steps());
    sum(device, m, terms, 0..steps, epilogue);
}

/// The same in blocks of a width of one's own, a multiple of 32: an epilogue's `row` has, for each block and each of
/// its rows, the columns in ascending order and from one thread, whatever the number of threads. Beside the sums it finds
/// those of other terms.
pub(crate) fn product_in_blocks<L: Left>(
    device: &Device,
    m: usize,
    columns: usize,
    [terms, beside]: [&[Term<'_, L>]; 2],
    epilogue: &impl Epilogue,
) {
    let steps = terms.first().map_or(0, |term| term.right.n_steps());
    blocks(device, m, columns, [terms, beside], 0..steps, epilogue);
}

fn sum<L: Left, E: Epilogue>(device: &Device, m: usize, terms: &[Term<'_, L>], steps: Range<usize>, epilogue: &E) {
    let Some(first) = terms.first() else { return };
    let n = first.right.n();
    if m == 0 || n == 0 {
        return;
    }
    // A block's right panels and left rows stay in the second-level cache together.
    const PANEL_ELEMENTS: usize = 1 << 19;
    let depth = (terms.len() * K_STEP * steps.len()).max(1);
    let mut columns = (PANEL_ELEMENTS / depth).clamp(64, 1024) / TILE_COLUMNS * TILE_COLUMNS;
    let row_blocks = m.div_ceil(ROWS);
    while columns > 64 && row_blocks * n.div_ceil(columns) < 8 * device.n_threads() {
        columns /= 2;
    }
    // All blocks of about one width.
    let columns = n.div_ceil(n.div_ceil(columns)).next_multiple_of(TILE_COLUMNS);
    blocks(device, m, columns, [terms, &[]], steps, epilogue);
}

fn blocks<L: Left, E: Epilogue>(
    device: &Device,
    m: usize,
    columns: usize,
    [terms, beside]: [&[Term<'_, L>]; 2],
    steps: Range<usize>,
    epilogue: &E,
) {
    let Some(first) = terms.first() else { return };
    let (n, row_blocks) = (first.right.n(), m.div_ceil(ROWS));
    device.for_each(row_blocks * n.div_ceil(columns), |index| {
        // Neighbouring blocks share their columns, so that a thread finds the panels in its cache.
        let (row, column) = (index % row_blocks * ROWS, index / row_blocks * columns);
        block(&Block {
            rows: row..(row + ROWS).min(m),
            columns: column..(column + columns).min(n),
            steps: steps.clone(),
            terms,
            beside,
            epilogue,
            prefetch: first.right.size_of_whole() > PREFETCH_ELEMENTS,
        });
    });
}

/// `out = a^T b` with `a` stored as `m` columns of `[k, stride]`: each task packs the columns it needs, multiplies them
/// with the whole of `b`, and forgets them.
pub(crate) fn columns(device: &Device, of: (usize, usize), a: &[bf16], b: &PackedRhs, out: Out<'_>) {
    let n = b.n();
    match out {
        Out::F32(out) => columns_to(device, of, a, b, &WriteF32 { out: DisjointOut::new(out), n }),
        Out::AddF32(out) => columns_to(device, of, a, b, &AddF32::to(out, n)),
        Out::SumF32 { from, out } => columns_to(device, of, a, b, &AddF32::sum(from, out, n)),
        Out::Bf16(out) => columns_to(device, of, a, b, &WriteBf16 { out: DisjointOut::new(out), n }),
    }
}

fn columns_to<E: Epilogue>(device: &Device, (m, stride): (usize, usize), a: &[bf16], b: &PackedRhs, epilogue: &E) {
    let (n, k) = (b.n(), b.k());
    if m == 0 || n == 0 {
        return;
    }
    let rows_a_task = task_rows(m, device.n_threads());
    device.for_each(m.div_ceil(rows_a_task), |index| {
        let row = index * rows_a_task;
        let width = rows_a_task.min(m - row);
        let left = LeftColumns::pack(device, (k, stride), a, (row, width));
        block(&Block {
            rows: row..row + width,
            columns: 0..n,
            steps: 0..b.k_padded() / K_STEP,
            terms: &[Term { left: &left, right: Panels::of(b) }],
            beside: &[],
            epilogue,
            prefetch: false,
        });
    });
}

/// Rows of a task: as many as share the right operand's panels well, as few as keep all threads at work.
fn task_rows(m: usize, n_threads: usize) -> usize {
    let longest = |rows: usize| m.div_ceil(rows).div_ceil(n_threads) * rows;
    [128, 96, 64, 32].into_iter().min_by_key(|&rows| longest(rows)).unwrap_or(128)
}
