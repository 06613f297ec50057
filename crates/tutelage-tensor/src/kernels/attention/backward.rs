//! Attention backward, block by block; scores are computed again from the kept log-sum-exp.

use std::ops::Range;

use super::AttentionShape;
use super::forward::{Inputs, KEYS, QUERIES, transpose};
use crate::device::DisjointOut;
use crate::simd::{BlockProduct, Instructions, Isa, SimdTask, Strided, exp};
use crate::{Device, Element};

/// Writes `dqkv`, given the forward pass's `out` and `lse` and the gradient of `out`.
pub(super) fn backward<T: Element>(
    device: &Device,
    inputs: &Inputs<'_, T>,
    (out, lse): (&[T], &[f32]),
    grad: &[T],
    dqkv: &mut [T],
) {
    let s = inputs.shape;
    let (d, n_rows) = (s.d_head, inputs.positions.len());
    let dqkv = DisjointOut::new(dqkv);
    device.for_each(inputs.documents.len() * s.n_kv_heads, |index| {
        let (rows, kv) = (&inputs.documents[index / s.n_kv_heads], index % s.n_kv_heads);
        let len = rows.len();
        let buffer = || device.buffer::<f32>(len * d);
        let (mut keys, mut keys_t, mut values, mut values_t) = (buffer(), buffer(), buffer(), buffer());
        let (mut queries, mut dout, mut dq) = (buffer(), buffer(), buffer());
        let (mut dk, mut dv) = (device.zeros::<f32>(len * d), device.zeros::<f32>(len * d));
        let mut delta = device.buffer::<f32>(len);
        inputs.rotated_head(rows, s.key(kv), 1.0, &mut keys);
        transpose(&keys, d, &mut keys_t);
        inputs.head(rows, s.value(kv), &mut values);
        transpose(&values, d, &mut values_t);
        let write = |from: &[f32], column: usize| {
            for (t, from) in rows.clone().zip(from.chunks_exact(d)) {
                // SAFETY: tasks differ in document or key-value group, and each writes only its group's columns.
                let to = unsafe { dqkv.slice(t * s.qkv_width() + column, d) };
                for (to, &from) in to.iter_mut().zip(from) {
                    *to = T::from_f32(from);
                }
            }
        };
        for i in 0..s.group() {
            inputs.rotated_head(rows, s.query(kv, i), s.scale(), &mut queries);
            let head = kv * s.group() + i;
            for (t, (dout, delta)) in rows.clone().zip(dout.chunks_exact_mut(d).zip(delta.iter_mut())) {
                let at = t * s.out_width() + head * d;
                *delta = 0.0;
                for ((to, grad), out) in dout.iter_mut().zip(&grad[at..]).zip(&out[at..]) {
                    *to = grad.to_f32();
                    *delta += *to * out.to_f32();
                }
            }
            dq.fill(0.0);
            let head = Head {
                shape: s,
                len,
                queries: &queries,
                keys: &keys,
                keys_t: &keys_t,
                values_t: &values_t,
                dout: &dout,
                delta: &delta,
                lse: &lse[head * n_rows + rows.start..][..len],
            };
            for first in (0..len).step_by(QUERIES) {
                head.query_block(device, first, &mut dq, &mut dk, &mut dv);
            }
            for (t, dq) in rows.clone().zip(dq.chunks_exact_mut(d)) {
                for x in dq.iter_mut() {
                    *x *= s.scale();
                }
                inputs.rope.rotate_back(dq, inputs.positions[t]);
            }
            write(&dq, s.query(kv, i));
        }
        for (t, dk) in rows.clone().zip(dk.chunks_exact_mut(d)) {
            inputs.rope.rotate_back(dk, inputs.positions[t]);
        }
        write(&dk, s.key(kv));
        write(&dv, s.value(kv));
    });
}

/// One query head over one document, all `[len][d]` unless transposed.
struct Head<'a> {
    shape: AttentionShape,
    len: usize,
    queries: &'a [f32],
    keys: &'a [f32],
    keys_t: &'a [f32],
    values_t: &'a [f32],
    dout: &'a [f32],
    delta: &'a [f32],
    lse: &'a [f32],
}

impl Head<'_> {
    fn query_block(&self, device: &Device, first: usize, dq: &mut [f32], dk: &mut [f32], dv: &mut [f32]) {
        let (isa, d) = (device.isa(), self.shape.d_head);
        let n = QUERIES.min(self.len - first);
        let rows = |data| Strided { data, row_stride: d, column_stride: 1 };
        let (q, dout) = (&self.queries[first * d..][..n * d], &self.dout[first * d..][..n * d]);
        let mut p = [0.0; QUERIES * KEYS];
        let mut ds = [0.0; QUERIES * KEYS];
        for start in (self.shape.first_key(first) / KEYS * KEYS..first + n).step_by(KEYS) {
            let width = KEYS.min(self.len - start);
            let against = |a, b, c: &mut [f32]| {
                let (b, ldb) = (b, self.len);
                BlockProduct { m: n, n: width, k: d, a, b, ldb, c, ldc: KEYS, accumulate: false }.compute(isa);
            };
            against(rows(q), &self.keys_t[start..], &mut p);
            against(rows(dout), &self.values_t[start..], &mut ds);
            for r in 0..n {
                let visible = self.shape.visible(first + r, start, width);
                let (p, ds) = (&mut p[r * KEYS..][..width], &mut ds[r * KEYS..][..width]);
                isa.run(ScoreGradient { p, ds, visible, lse: self.lse[first + r], delta: self.delta[first + r] });
            }
            let block = Block { d, first, n, start, width };
            block.add_to_keys(isa, &p, dout, dv);
            block.add_to_keys(isa, &ds, q, dk);
            block.add_to_queries(isa, &ds, self.keys, dq);
        }
    }
}

/// Queries `first .. first + n` against keys `start .. start + width`, and what `by[n][KEYS]` says of each pair of them.
pub(super) struct Block {
    pub(super) d: usize,
    pub(super) first: usize,
    pub(super) n: usize,
    pub(super) start: usize,
    pub(super) width: usize,
}

impl Block {
    /// Adds rows of queries `[n][d]`, times what `by` says, to those of keys `[len][d]`.
    pub(super) fn add_to_keys(&self, isa: Isa, by: &[f32], b: &[f32], to: &mut [f32]) {
        let Self { d, n, start, width, .. } = *self;
        let a = Strided { data: by, row_stride: 1, column_stride: KEYS };
        let c = &mut to[start * d..][..width * d];
        BlockProduct { m: width, n: d, k: n, a, b, ldb: d, c, ldc: d, accumulate: true }.compute(isa);
    }

    /// Adds rows of keys `[len][d]`, times what `by` says, to those of queries `[len][d]`.
    pub(super) fn add_to_queries(&self, isa: Isa, by: &[f32], keys: &[f32], to: &mut [f32]) {
        let Self { d, first, n, start, width } = *self;
        let a = Strided { data: by, row_stride: KEYS, column_stride: 1 };
        let (b, c) = (&keys[start * d..], &mut to[first * d..][..n * d]);
        BlockProduct { m: n, n: d, k: width, a, b, ldb: d, c, ldc: d, accumulate: true }.compute(isa);
    }
}

/// `p` from scores to probabilities, `ds` from `dp` to `p (dp - delta)`; zero outside `visible`.
struct ScoreGradient<'a> {
    p: &'a mut [f32],
    ds: &'a mut [f32],
    visible: Range<usize>,
    lse: f32,
    delta: f32,
}
impl SimdTask for ScoreGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        let Range { start, end } = self.visible;
        self.p[..start].fill(0.0);
        self.ds[..start].fill(0.0);
        self.p[end..].fill(0.0);
        self.ds[end..].fill(0.0);
        for (p, ds) in self.p[start..end].iter_mut().zip(&mut self.ds[start..end]) {
            *p = exp::<I>(*p - self.lse);
            *ds = *p * (*ds - self.delta);
        }
    }
}
