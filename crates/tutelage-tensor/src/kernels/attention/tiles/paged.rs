//! Rows of prompts over pages of keys and values, which are packed for tiles where they lie.

use half::bf16;

use super::super::paged::{PAGE, Pages, Rows, Span};
use super::forward::{Finish, Work, query_group};
use super::head::{Padded, RotateRow};
use super::{GROUP, QUERIES, TILE};
use crate::device::DisjointOut;
use crate::matmul::{Tiles, interleaved_tile};
use crate::{Buffer, Device};

/// Attends head by head.
pub(in super::super) fn prompts(
    device: &Device,
    rows: &Rows<'_, bf16>,
    pages: &Pages<'_, bf16>,
    spans: &[&Span<'_>],
    out: &DisjointOut<'_, bf16>,
) {
    let s = rows.shape;
    device.for_each(spans.len() * s.n_kv_heads, |index| {
        let (span, kv) = (spans[index / s.n_kv_heads], index % s.n_kv_heads);
        let size = Padded::new(span.end(), s.d_head);
        let (keys, values) = (pack_keys(device, size, pages, span, kv), pack_values(device, size, pages, span, kv));
        let mut queries = device.zeros::<bf16>(size.size());
        let mut work = Work::new(device, size);
        let tiles = Tiles::begin(device.isa());
        for i in 0..s.group() {
            for (row, position) in span.rows.clone().zip(span.first..) {
                let from = &rows.qkv[row * s.qkv_width() + s.query(kv, i)..][..s.d_head];
                let (cos, sin) = rows.rope.at(rows.places[row]);
                let out = &mut queries[position * size.dp..][..s.d_head];
                device.isa().run(RotateRow::<_, false> { from, cos, sin, scale: s.scale(), out });
            }
            // Blocks lie as they would if all tokens came at once.
            for first in (span.first / QUERIES * QUERIES..size.len).step_by(GROUP) {
                let totals = query_group(device, &tiles, (s, size), (&queries, &keys, &values), first, &mut work);
                for position in first.max(span.first)..(first + GROUP).min(size.len) {
                    let (r, row) = (position - first, span.rows.start + position - span.first);
                    let at = row * s.out_width() + (kv * s.group() + i) * s.d_head;
                    // SAFETY: tasks differ in span or head, whose rows and columns these are.
                    let to = unsafe { out.slice(at, s.d_head) };
                    device.isa().run(Finish { sums: work.sums(size, r), factor: 1.0 / totals[r].1, to });
                }
            }
        }
    });
}

/// Keys for products that sum over columns: panels of 16 keys, a tile for each 32 columns.
fn pack_keys(device: &Device, size: Padded, pages: &Pages<'_, bf16>, span: &Span<'_>, kv: usize) -> Buffer<bf16> {
    let mut out = device.buffer::<bf16>(size.size());
    for (i, tile) in out.chunks_exact_mut(TILE).enumerate() {
        let (panel, step) = (i / (size.dp / 32), i % (size.dp / 32));
        let (page, slot) = (panel * 16 / PAGE, panel * 16 % PAGE);
        let source = &pages.keys(span.pages[page], kv)[step * 32 * PAGE + slot..][..31 * PAGE + 16];
        // SAFETY: this module runs on AMX machines alone, which have AVX-512-BF16; 32 rows of 16 elements were sliced.
        unsafe { interleaved_tile(source.as_ptr(), PAGE, tile.as_mut_ptr()) };
    }
    out
}

/// Values for products that sum over keys: panels of 16 columns, a tile for each 32 keys.
fn pack_values(device: &Device, size: Padded, pages: &Pages<'_, bf16>, span: &Span<'_>, kv: usize) -> Buffer<bf16> {
    let mut out = device.buffer::<bf16>(size.size());
    for (i, tile) in out.chunks_exact_mut(TILE).enumerate() {
        let (panel, step) = (i / (size.lp / 32), i % (size.lp / 32));
        let (page, slot) = (step * 32 / PAGE, step * 32 % PAGE);
        let source = &pages.values(span.pages[page], kv)[slot * size.dp + panel * 16..][..31 * size.dp + 16];
        // SAFETY: as above.
        unsafe { interleaved_tile(source.as_ptr(), size.dp, tile.as_mut_ptr()) };
    }
    out
}
