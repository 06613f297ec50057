//! Attention forward, block by block.

use std::ops::Range;

use super::{AttentionShape, RopeTable};
use crate::device::DisjointOut;
use crate::simd::{BlockProduct, Instructions, SimdTask, Strided, exp, multiply_add};
use crate::{Device, Element};

/// Queries of a block.
pub(super) const QUERIES: usize = 32;
/// Keys of a block.
pub(super) const KEYS: usize = 64;

/// What both directions read.
pub(super) struct Inputs<'a, T> {
    pub(super) shape: AttentionShape,
    pub(super) rope: &'a RopeTable,
    pub(super) positions: &'a [i32],
    pub(super) documents: &'a [Range<usize>],
    pub(super) qkv: &'a [T],
}

impl<T: Element> Inputs<'_, T> {
    /// One head's columns over a document's rows, widened: `[len][d_head]`.
    pub(super) fn head(&self, rows: &Range<usize>, column: usize, out: &mut [f32]) {
        let (d, width) = (self.shape.d_head, self.shape.qkv_width());
        for (t, out) in rows.clone().zip(out.chunks_exact_mut(d)) {
            for (to, from) in out.iter_mut().zip(&self.qkv[t * width + column..]) {
                *to = from.to_f32();
            }
        }
    }

    /// The same, rotated and multiplied by `scale`.
    pub(super) fn rotated_head(&self, rows: &Range<usize>, column: usize, scale: f32, out: &mut [f32]) {
        self.head(rows, column, out);
        for (t, head) in rows.clone().zip(out.chunks_exact_mut(self.shape.d_head)) {
            self.rope.rotate(head, self.positions[t]);
            for x in head {
                *x *= scale;
            }
        }
    }
}

/// `[len][d]` -> `[d][len]`.
pub(super) fn transpose(from: &[f32], d: usize, to: &mut [f32]) {
    let len = from.len() / d;
    for (t, row) in from.chunks_exact(d).enumerate() {
        for (c, &x) in row.iter().enumerate() {
            to[c * len + t] = x;
        }
    }
}

/// Writes `out[t, n_heads * d_head]` and `lse[n_heads][t]`.
pub(super) fn forward<T: Element>(device: &Device, inputs: &Inputs<'_, T>, out: &mut [T], lse: &mut [f32]) {
    let s = inputs.shape;
    let (d, n_rows) = (s.d_head, inputs.positions.len());
    let (out, lse) = (DisjointOut::new(out), DisjointOut::new(lse));
    device.for_each(inputs.documents.len() * s.n_kv_heads, |index| {
        let (rows, kv) = (&inputs.documents[index / s.n_kv_heads], index % s.n_kv_heads);
        let len = rows.len();
        let mut keys = device.buffer::<f32>(len * d);
        let mut keys_t = device.buffer::<f32>(len * d);
        let mut values = device.buffer::<f32>(len * d);
        let mut queries = device.buffer::<f32>(len * d);
        inputs.rotated_head(rows, s.key(kv), 1.0, &mut keys);
        transpose(&keys, d, &mut keys_t);
        inputs.head(rows, s.value(kv), &mut values);
        for i in 0..s.group() {
            inputs.rotated_head(rows, s.query(kv, i), s.scale(), &mut queries);
            let head = kv * s.group() + i;
            // SAFETY: tasks differ in document or head, so no other task writes these rows of `lse`.
            let lse = unsafe { lse.slice(head * n_rows + rows.start, len) };
            for first in (0..len).step_by(QUERIES) {
                let n = QUERIES.min(len - first);
                let mut block = [0.0; QUERIES * 256];
                let sums = &mut block[..n * d];
                let q = &queries[first * d..][..n * d];
                let lse = &mut lse[first..first + n];
                query_block(device, s, (q, &keys_t, &values), (first, n, len), sums, lse);
                for (r, sums) in sums.chunks_exact(d).enumerate() {
                    let at = (rows.start + first + r) * s.out_width() + head * d;
                    // SAFETY: as above, for these columns of `out`.
                    let out = unsafe { out.slice(at, d) };
                    for (to, &from) in out.iter_mut().zip(sums) {
                        *to = T::from_f32(from);
                    }
                }
            }
        }
    });
}

/// Attention of `n` queries from `first` on over all keys they may see.
pub(super) fn query_block(
    device: &Device,
    shape: AttentionShape,
    (queries, keys_t, values): (&[f32], &[f32], &[f32]),
    (first, n, len): (usize, usize, usize),
    out: &mut [f32],
    lse: &mut [f32],
) {
    let (isa, d) = (device.isa(), shape.d_head);
    let mut max = [f32::NEG_INFINITY; QUERIES];
    let mut sum = [0.0; QUERIES];
    let mut scores = [0.0; QUERIES * KEYS];
    for start in (shape.first_key(first) / KEYS * KEYS..first + n).step_by(KEYS) {
        let width = KEYS.min(len - start);
        BlockProduct {
            m: n,
            n: width,
            k: d,
            a: Strided { data: queries, row_stride: d, column_stride: 1 },
            b: &keys_t[start..],
            ldb: len,
            c: &mut scores,
            ldc: KEYS,
            accumulate: false,
        }
        .compute(isa);
        for r in 0..n {
            let scores = &mut scores[r * KEYS..][..width];
            let visible = shape.visible(first + r, start, width);
            if visible.is_empty() {
                scores.fill(0.0);
                continue;
            }
            let shrink = isa.run(RunningSoftmax { scores, visible, max: &mut max[r], sum: &mut sum[r] });
            if shrink != 1.0 {
                for x in &mut out[r * d..][..d] {
                    *x *= shrink;
                }
            }
        }
        BlockProduct {
            m: n,
            n: d,
            k: width,
            a: Strided { data: &scores, row_stride: KEYS, column_stride: 1 },
            b: &values[start * d..],
            ldb: d,
            c: out,
            ldc: d,
            accumulate: true,
        }
        .compute(isa);
    }
    for r in 0..n {
        lse[r] = max[r] + sum[r].ln();
        for x in &mut out[r * d..][..d] {
            *x /= sum[r];
        }
    }
}

/// Turns scores into unnormalised weights against the running maximum; returns by what the sums so far
/// shrink. Keys outside `visible` get weight zero.
struct RunningSoftmax<'a> {
    scores: &'a mut [f32],
    visible: Range<usize>,
    max: &'a mut f32,
    sum: &'a mut f32,
}
impl SimdTask for RunningSoftmax<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<I: Instructions>(self) -> f32 {
        self.scores[..self.visible.start].fill(0.0);
        self.scores[self.visible.end..].fill(0.0);
        let seen = &mut self.scores[self.visible];
        let mut max = *self.max;
        for &x in &*seen {
            max = if x > max { x } else { max };
        }
        for x in seen.iter_mut() {
            *x = exp::<I>(*x - max);
        }
        let mut sum = 0.0;
        for &x in &*seen {
            sum += x;
        }
        let shrink = exp::<I>(*self.max - max);
        *self.sum = multiply_add::<I>(*self.sum, shrink, sum);
        *self.max = max;
        shrink
    }
}
