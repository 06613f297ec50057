//! Forward.

use std::ops::Range;

use half::bf16;

use super::super::AttentionShape;
use super::super::forward::Inputs;
use super::head::Padded;
use super::{GROUP, KEYS, QUERIES, seeing};
use crate::Device;
use crate::device::DisjointOut;
use crate::matmul::Tiles;
use crate::simd::{Instructions, LANES, SimdTask, exp, fold, largest, load, multiply_add, store};

/// Writes `out[t, n_heads * d_head]` and `lse[n_heads][t]`.
pub(in super::super) fn forward(device: &Device, inputs: &Inputs<'_, bf16>, out: &mut [bf16], lse: &mut [f32]) {
    let (s, n_rows) = (inputs.shape, inputs.positions.len());
    let (out, lse) = (DisjointOut::new(out), DisjointOut::new(lse));
    device.for_each(inputs.documents.len() * s.n_kv_heads, |index| {
        let (rows, kv) = (&inputs.documents[index / s.n_kv_heads], index % s.n_kv_heads);
        let size = Padded::new(rows.len(), s.d_head);
        let mut head = device.buffer::<bf16>(size.size());
        size.load(device, inputs, rows, s.key(kv), Some(1.0), &mut head);
        let keys = size.pack_rows(device, &head);
        size.load(device, inputs, rows, s.value(kv), None, &mut head);
        let values = size.pack_columns(device, &head);
        let mut queries = head;
        let mut work = Work::new(device, size);
        let tiles = Tiles::begin(device.isa());
        for i in 0..s.group() {
            size.load(device, inputs, rows, s.query(kv, i), Some(s.scale()), &mut queries);
            let head = kv * s.group() + i;
            // SAFETY: tasks differ in document or head, so no other task writes these rows of `lse`.
            let lse = unsafe { lse.slice(head * n_rows + rows.start, size.len) };
            for first in (0..size.len).step_by(GROUP) {
                let totals = query_group(device, &tiles, (s, size), (&queries, &keys, &values), first, &mut work);
                for r in 0..GROUP.min(size.len - first) {
                    let (max, sum) = totals[r];
                    lse[first + r] = max + sum.ln();
                    let at = (rows.start + first + r) * s.out_width() + head * s.d_head;
                    // SAFETY: as above, for these columns of `out`.
                    let to = unsafe { out.slice(at, s.d_head) };
                    device.isa().run(Finish { sums: work.sums(size, r), factor: 1.0 / sum, to });
                }
            }
        }
    });
}

pub(super) struct Work {
    scores: crate::Buffer<f32>,
    p: crate::Buffer<bf16>,
    sums: crate::Buffer<f32>,
}

impl Work {
    pub(super) fn new(device: &Device, size: Padded) -> Self {
        let (scores, p) = (device.buffer(QUERIES * KEYS), device.buffer(QUERIES * KEYS));
        Self { scores, p, sums: device.buffer(GROUP * size.dp) }
    }

    /// Weighted sums of a row of the group.
    pub(super) fn sums(&self, size: Padded, row: usize) -> &[f32] {
        &self.sums[row * size.dp..][..size.d]
    }
}

/// Attention of a group of queries from `first` on over all keys they may see; gives each row's maximum and sum, and
/// leaves the weighted sums of values.
pub(super) fn query_group(
    device: &Device,
    tiles: &Tiles,
    (shape, size): (AttentionShape, Padded),
    (queries, keys, values): (&[bf16], &[bf16], &[bf16]),
    first: usize,
    work: &mut Work,
) -> [(f32, f32); GROUP] {
    let mut totals = [(f32::NEG_INFINITY, 0.0); GROUP];
    work.sums.fill(0.0);
    let end = (first + GROUP).min(size.lp);
    for start in (shape.first_key(first) / KEYS * KEYS..end).step_by(KEYS) {
        for block in seeing(shape, start, first..end).step_by(QUERIES) {
            let (from, totals) = (block - first, &mut totals[block - first..][..QUERIES]);
            let width = KEYS.min(block + QUERIES - start);
            size.scores(tiles, (&queries[block * size.dp..], keys), (start, width), &mut work.scores);
            for (r, total) in totals.iter_mut().enumerate() {
                let visible = shape.visible(block + r, start, width);
                let (scores, p) = (&mut work.scores[r * KEYS..][..width], &mut work.p[r * KEYS..][..width]);
                let sums = &mut work.sums[(from + r) * size.dp..][..size.dp];
                device.isa().run(RunningSoftmax { scores, p, sums, visible, total });
            }
            let sums = &mut work.sums[from * size.dp..][..QUERIES * size.dp];
            size.weighted_sums(tiles, (&work.p, values), (start, width), sums);
        }
    }
    totals
}

/// Turns scores into unnormalised weights against the running maximum, and shrinks the sums so far to it. Keys
/// outside `visible` get weight zero.
struct RunningSoftmax<'a> {
    scores: &'a mut [f32],
    p: &'a mut [bf16],
    sums: &'a mut [f32],
    visible: Range<usize>,
    total: &'a mut (f32, f32),
}
impl SimdTask for RunningSoftmax<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        if self.visible.is_empty() {
            return self.p.fill(bf16::ZERO);
        }
        self.scores[..self.visible.start].fill(f32::NEG_INFINITY);
        self.scores[self.visible.end..].fill(f32::NEG_INFINITY);
        let (before, sum) = *self.total;
        let largest = largest(self.scores);
        // Scores that are no numbers are no maximum, but are seen in the sum.
        let max = if largest > before { largest } else { before };
        let mut lanes = [0.0; LANES];
        let ((chunks, _), (out, _)) = (self.scores.as_chunks::<LANES>(), self.p.as_chunks_mut::<LANES>());
        for (chunk, out) in chunks.iter().zip(out) {
            let mut p = [0.0; LANES];
            for i in 0..LANES {
                p[i] = exp::<I>(chunk[i] - max);
                lanes[i] += p[i];
            }
            *out = I::round(p);
        }
        let mut shrink = 1.0;
        if max > before {
            shrink = exp::<I>(before - max);
            for x in self.sums {
                *x *= shrink;
            }
        }
        *self.total = (max, multiply_add::<I>(sum, shrink, fold(lanes)));
    }
}

pub(super) struct Finish<'a> {
    pub(super) sums: &'a [f32],
    pub(super) factor: f32,
    pub(super) to: &'a mut [bf16],
}
impl SimdTask for Finish<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        for at in (0..self.to.len()).step_by(LANES) {
            store::<I, bf16>(self.to, at, load(self.sums, at).map(|sum| sum * self.factor));
        }
    }
}
