//! The gradient of the student's queries and keys; scores are computed again from the kept log-sum-exps.

use std::ops::Range;

use super::super::backward::Block;
use super::super::forward::{KEYS, QUERIES};
use super::forward::{Head, Pair, with_teacher};
use crate::device::DisjointOut;
use crate::simd::{Instructions, SimdTask, exp};
use crate::{Device, Element};

/// Writes `dqkv` of the forward pass's value times `scale`; the values' columns are left as they are.
pub(super) fn backward<T: Element>(
    device: &Device,
    pair: &Pair<'_, T>,
    lse: (&[f32], &[f32]),
    scale: f32,
    dqkv: &mut [T],
) {
    let (inputs, s) = (&pair.student, pair.student.shape);
    let (d, n_rows) = (s.d_head, inputs.positions.len());
    let dqkv = DisjointOut::new(dqkv);
    // Keys are shared by the heads of a group.
    device.for_each(inputs.documents.len() * s.n_kv_heads, |task| {
        let (rows, kv) = (&inputs.documents[task / s.n_kv_heads], task % s.n_kv_heads);
        let len = rows.len();
        let (mut dq, mut dk) = (device.buffer::<f32>(len * d), device.zeros::<f32>(len * d));
        let write = |gradient: &mut [f32], factor: f32, column: usize| {
            for (t, from) in rows.clone().zip(gradient.chunks_exact_mut(d)) {
                from.iter_mut().for_each(|x| *x *= factor);
                inputs.rope.rotate_back(from, inputs.positions[t]);
                // SAFETY: tasks differ in document or key-value group, and each writes only its group's columns.
                let to = unsafe { dqkv.slice(t * s.qkv_width() + column, d) };
                to.iter_mut().zip(from).for_each(|(to, from)| *to = T::from_f32(*from));
            }
        };
        for i in 0..s.group() {
            let head = kv * s.group() + i;
            let student = Head::new(inputs, rows, head);
            let range = head * n_rows + rows.start..head * n_rows + rows.end;
            let lse = (&lse.0[range.clone()], &lse.1[range]);
            dq.fill(0.0);
            with_teacher(pair.teacher, rows, |own, inputs| {
                let gradient = Gradient {
                    shapes: (s, inputs.shape()),
                    heads: (&student, &inputs.head(own, head)),
                    chosen: &pair.chosen[rows.clone()],
                    lse,
                    scale,
                };
                (0..len).step_by(QUERIES).for_each(|first| gradient.query_block(device, first, &mut dq, &mut dk));
            });
            write(&mut dq, s.scale(), s.query(kv, i));
        }
        write(&mut dk, 1.0, s.key(kv));
    });
}

/// One query head over one document.
struct Gradient<'a> {
    shapes: (super::AttentionShape, super::AttentionShape),
    heads: (&'a Head, &'a Head),
    chosen: &'a [bool],
    lse: (&'a [f32], &'a [f32]),
    scale: f32,
}

impl Gradient<'_> {
    fn query_block(&self, device: &Device, first: usize, dq: &mut [f32], dk: &mut [f32]) {
        let (isa, (student, teacher), len) = (device.isa(), self.shapes, self.chosen.len());
        let (n, d) = (QUERIES.min(len - first), student.d_head);
        let (mut ds, mut theirs) = ([0.0; QUERIES * KEYS], [0.0; QUERIES * KEYS]);
        for start in (student.first_key(first) / KEYS * KEYS..first + n).step_by(KEYS) {
            let width = KEYS.min(len - start);
            self.heads.0.scores(isa, (first, n), (start, width), &mut ds);
            self.heads.1.scores(isa, (first, n), (start, width), &mut theirs);
            for r in 0..n {
                let query = first + r;
                let (ds, theirs) = (&mut ds[r * KEYS..][..width], &theirs[r * KEYS..][..width]);
                if !self.chosen[query] {
                    ds.fill(0.0);
                    continue;
                }
                let seen = (student.visible(query, start, width), teacher.visible(query, start, width));
                let lse = (self.lse.0[query], self.lse.1[query]);
                isa.run(ScoreDifference { ds, theirs, seen, lse, scale: self.scale });
            }
            let block = Block { d, first, n, start, width };
            let (queries, keys) = (&self.heads.0.queries[first * d..][..n * d], &self.heads.0.keys);
            block.add_to_keys(isa, &ds, queries, dk);
            block.add_to_queries(isa, &ds, keys, dq);
        }
    }
}

/// From the student's scores to `scale (A_student - A_teacher)`.
struct ScoreDifference<'a> {
    ds: &'a mut [f32],
    theirs: &'a [f32],
    seen: (Range<usize>, Range<usize>),
    lse: (f32, f32),
    scale: f32,
}
impl SimdTask for ScoreDifference<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        let Self { ds, theirs, seen: (ours_seen, theirs_seen), lse, scale } = self;
        ds[..ours_seen.start].fill(0.0);
        ds[ours_seen.end..].fill(0.0);
        for x in &mut ds[ours_seen] {
            *x = scale * exp::<I>(*x - lse.0);
        }
        for (x, &score) in ds[theirs_seen.clone()].iter_mut().zip(&theirs[theirs_seen]) {
            *x -= scale * exp::<I>(score - lse.1);
        }
    }
}
