//! Rows of prompts, block by block as in training.

use super::super::forward::{QUERIES, query_block};
use super::{PAGE, Pages, Rows, Span};
use crate::device::DisjointOut;
use crate::{Device, Element};

/// Attends head by head: keys and values of all tokens so far are gathered and widened.
pub(super) fn prompts<T: Element>(
    device: &Device,
    rows: &Rows<'_, T>,
    pages: &Pages<'_, T>,
    spans: &[&Span<'_>],
    out: &DisjointOut<'_, T>,
) {
    let (s, d, dp) = (rows.shape, rows.shape.d_head, pages.d_padded());
    device.for_each(spans.len() * s.n_kv_heads, |index| {
        let (span, kv) = (spans[index / s.n_kv_heads], index % s.n_kv_heads);
        let len = span.end();
        let mut keys_t = device.buffer::<f32>(d * len);
        let mut values = device.buffer::<f32>(len * d);
        for (start, &page) in (0..len).step_by(PAGE).zip(span.pages) {
            let width = PAGE.min(len - start);
            for (c, keys) in pages.keys(page, kv).chunks_exact(PAGE).take(d).enumerate() {
                for (to, from) in keys_t[c * len + start..][..width].iter_mut().zip(keys) {
                    *to = from.to_f32();
                }
            }
            for (t, from) in pages.values(page, kv).chunks_exact(dp).take(width).enumerate() {
                for (to, from) in values[(start + t) * d..][..d].iter_mut().zip(from) {
                    *to = from.to_f32();
                }
            }
        }
        let mut queries = [0.0; QUERIES * 256];
        let mut sums = [0.0; QUERIES * 256];
        let mut lse = [0.0; QUERIES];
        for i in 0..s.group() {
            for first in (span.first..len).step_by(QUERIES) {
                let n = QUERIES.min(len - first);
                let (queries, sums) = (&mut queries[..n * d], &mut sums[..n * d]);
                sums.fill(0.0);
                let row = span.rows.start + first - span.first;
                for (r, query) in queries.chunks_exact_mut(d).enumerate() {
                    rows.rotated(row + r, s.query(kv, i), s.scale(), query);
                }
                query_block(device, s, (queries, &keys_t, &values), (first, n, len), sums, &mut lse[..n]);
                for (r, sums) in sums.chunks_exact(d).enumerate() {
                    let at = (row + r) * s.out_width() + (kv * s.group() + i) * d;
                    // SAFETY: tasks differ in span or head, whose rows and columns these are.
                    let to = unsafe { out.slice(at, d) };
                    for (to, &from) in to.iter_mut().zip(sums.iter()) {
                        *to = T::from_f32(from);
                    }
                }
            }
        }
    });
}
