//! Backward: scores are computed again from the kept log-sum-exp.

use std::ops::Range;

use half::bf16;

use super::super::AttentionShape;
use super::super::forward::Inputs;
use super::head::{Padded, ROWS_AHEAD, RotateRow};
use super::{GROUP, KEYS, QUERIES, TILE, seeing};
use crate::device::DisjointOut;
use crate::matmul::{Round, SmallProduct, Tiles, left_tile};
use crate::simd::{Instructions, LANES, SimdTask, exp, fold, load, multiply_add, prefetch, store};
use crate::{Buffer, Device};

/// Writes `dqkv`, given the forward pass's `out` and `lse` and the gradient of `out`.
pub(in super::super) fn backward(
    device: &Device,
    inputs: &Inputs<'_, bf16>,
    (out, lse): (&[bf16], &[f32]),
    grad: &[bf16],
    dqkv: &mut [bf16],
) {
    let (s, n_rows) = (inputs.shape, inputs.positions.len());
    let dqkv = DisjointOut::new(dqkv);
    device.for_each(inputs.documents.len() * s.n_kv_heads, |index| {
        let (rows, kv) = (&inputs.documents[index / s.n_kv_heads], index % s.n_kv_heads);
        let size = Padded::new(rows.len(), s.d_head);
        let mut head = device.buffer::<bf16>(size.size());
        size.load(device, inputs, rows, s.key(kv), Some(1.0), &mut head);
        let (keys, keys_c) = (size.pack_rows(device, &head), size.pack_columns(device, &head));
        size.load(device, inputs, rows, s.value(kv), None, &mut head);
        let values = size.pack_rows(device, &head);
        let (mut queries, mut dout) = (head, device.buffer::<bf16>(size.size()));
        let mut delta = device.zeros::<f32>(size.lp);
        let mut work = Work::new(device, size);
        let write = |from: &[f32], column: usize, rotation: Option<f32>, first: usize| {
            for (r, from) in from.chunks_exact(size.dp).take(size.len - first).enumerate() {
                let t = rows.start + first + r;
                // SAFETY: tasks differ in document or key-value group, and each writes only its group's columns.
                let to = unsafe { dqkv.slice(t * s.qkv_width() + column, size.d) };
                let from = &from[..size.d];
                let Some(scale) = rotation else {
                    device.isa().run(Round { from, to });
                    continue;
                };
                let (cos, sin) = inputs.rope.at(inputs.positions[t]);
                device.isa().run(RotateRow::<_, true> { from, cos, sin, scale, out: to });
            }
        };
        let tiles = Tiles::begin(device.isa());
        for i in 0..s.group() {
            let index = kv * s.group() + i;
            size.load(device, inputs, rows, s.query(kv, i), Some(s.scale()), &mut queries);
            gradient_rows(device, size, rows, (grad, out), (s.out_width(), index * s.d_head), &mut dout, &mut delta);
            let head = Head {
                shape: s,
                size,
                queries: &queries,
                queries_c: &size.pack_columns(device, &queries),
                dout: &dout,
                dout_c: &size.pack_columns(device, &dout),
                keys: &keys,
                keys_c: &keys_c,
                values: &values,
                delta: &delta,
                lse: &lse[index * n_rows + rows.start..][..size.len],
            };
            for first in (0..size.len).step_by(GROUP) {
                head.query_group(device, &tiles, first, &mut work);
                write(&work.dq, s.query(kv, i), Some(s.scale()), first);
            }
        }
        write(&work.dk, s.key(kv), Some(1.0), 0);
        write(&work.dv, s.value(kv), None, 0);
    });
}

/// The gradient's columns of a head, and each row's `sum grad * out`.
fn gradient_rows(
    device: &Device,
    size: Padded,
    rows: &Range<usize>,
    (grad, out): (&[bf16], &[bf16]),
    (width, column): (usize, usize),
    dout: &mut [bf16],
    delta: &mut [f32],
) {
    for ((t, to), delta) in rows.clone().zip(dout.chunks_exact_mut(size.dp)).zip(delta) {
        let at = t * width + column;
        for x in [grad, out] {
            prefetch(x, at + ROWS_AHEAD * width, size.d);
        }
        let (grad, out) = (&grad[at..][..size.d], &out[at..][..size.d]);
        to[..size.d].copy_from_slice(grad);
        to[size.d..].fill(bf16::ZERO);
        *delta = device.isa().run(Dot { a: grad, b: out });
    }
    dout[size.len * size.dp..].fill(bf16::ZERO);
}

struct Work {
    p: Buffer<f32>,
    dp: Buffer<f32>,
    p_rounded: Buffer<bf16>,
    ds_rounded: Buffer<bf16>,
    left: Buffer<bf16>,
    dq: Buffer<f32>,
    dk: Buffer<f32>,
    dv: Buffer<f32>,
}

impl Work {
    fn new(device: &Device, size: Padded) -> Self {
        let (block, group) = (QUERIES * KEYS, GROUP * KEYS);
        Self {
            p: device.buffer(block),
            dp: device.buffer(block),
            p_rounded: device.buffer(group),
            ds_rounded: device.buffer(group),
            left: device.buffer(2 * GROUP / QUERIES * TILE),
            dq: device.buffer(GROUP * size.dp),
            dk: device.zeros(size.size()),
            dv: device.zeros(size.size()),
        }
    }
}

/// One query head over one document: rows `[lp][dp]`, and packed over columns (`_c`: over rows).
struct Head<'a> {
    shape: AttentionShape,
    size: Padded,
    queries: &'a [bf16],
    queries_c: &'a [bf16],
    dout: &'a [bf16],
    dout_c: &'a [bf16],
    keys: &'a [bf16],
    keys_c: &'a [bf16],
    values: &'a [bf16],
    delta: &'a [f32],
    lse: &'a [f32],
}

impl Head<'_> {
    /// Gradients of a group of queries from `first` on, left in `dq`, and what they add to those of keys and values.
    fn query_group(&self, device: &Device, tiles: &Tiles, first: usize, work: &mut Work) {
        work.dq.fill(0.0);
        let end = (first + GROUP).min(self.size.lp);
        for start in (self.shape.first_key(first) / KEYS * KEYS..end).step_by(KEYS) {
            let seeing = seeing(self.shape, start, first..end);
            for block in seeing.clone().step_by(QUERIES) {
                let width = KEYS.min(end - start);
                let (rows, keys) = (block * self.size.dp, (start, width));
                self.size.scores(tiles, (&self.queries[rows..], self.keys), keys, &mut work.p);
                self.size.scores(tiles, (&self.dout[rows..], self.values), keys, &mut work.dp);
                let from = (block - seeing.start) * KEYS;
                for r in 0..QUERIES {
                    // Padding rows see nothing.
                    let row = block + r;
                    let known = row < self.size.len;
                    let at = r * KEYS..r * KEYS + width;
                    device.isa().run(ScoreGradient {
                        scores: &work.p[at.clone()],
                        dp: &work.dp[at.clone()],
                        visible: if known { self.shape.visible(row, start, width) } else { 0..0 },
                        lse: if known { self.lse[row] } else { 0.0 },
                        delta: self.delta[row],
                        p: &mut work.p_rounded[from..][at.clone()],
                        ds: &mut work.ds_rounded[from..][at],
                    });
                }
                let dq = &mut work.dq[(block - first) * self.size.dp..][..QUERIES * self.size.dp];
                self.size.weighted_sums(tiles, (&work.ds_rounded[from..], self.keys_c), keys, dq);
            }
            self.key_gradients(tiles, seeing, start, work);
        }
    }

    /// `dk += ds^T q`, `dv += p^T dout` of the queries that see the keys from `start` on.
    fn key_gradients(&self, tiles: &Tiles, seeing: Range<usize>, start: usize, work: &mut Work) {
        let (size, steps) = (self.size, seeing.len() / QUERIES);
        for key in (0..KEYS.min(seeing.end - start)).step_by(32) {
            let pairs =
                [(&work.p_rounded, self.dout_c, &mut work.dv), (&work.ds_rounded, self.queries_c, &mut work.dk)];
            for (from, b, c) in pairs {
                for (half, step) in (0..2).flat_map(|half| (0..steps).map(move |step| (half, step))) {
                    let rows = &from[step * QUERIES * KEYS + key + 16 * half..];
                    let to = work.left[(half * steps + step) * TILE..].as_mut_ptr();
                    // SAFETY: AMX machines have AVX-512-BF16; 32 rows of KEYS elements exist, `left` has 8 tiles.
                    unsafe { left_tile(rows.as_ptr(), KEYS, to) };
                }
                for column in (0..size.dp).step_by(32) {
                    // SAFETY: the left tiles were just made; these rows of `b` and rows `start + key ..` of `c` exist.
                    unsafe {
                        tiles.product::<true>(SmallProduct {
                            a: work.left.as_ptr(),
                            a_row_bytes: 64,
                            a_half_bytes: 2 * TILE * steps,
                            a_step_bytes: 2 * TILE,
                            b: b[column * size.lp + seeing.start * 16..].as_ptr(),
                            b_panel_bytes: size.panel_bytes(),
                            steps,
                            c: c[(start + key) * size.dp + column..].as_mut_ptr(),
                            c_row_bytes: 4 * size.dp,
                        });
                    }
                }
            }
        }
    }
}

/// Scores to probabilities, `dp` to `p (dp - delta)`, both rounded; zero outside `visible`.
struct ScoreGradient<'a> {
    scores: &'a [f32],
    dp: &'a [f32],
    visible: Range<usize>,
    lse: f32,
    delta: f32,
    p: &'a mut [bf16],
    ds: &'a mut [bf16],
}
impl SimdTask for ScoreGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        for at in (0..self.scores.len()).step_by(LANES) {
            let (mut p, mut ds) = (load(self.scores, at), load(self.dp, at));
            for i in 0..LANES {
                p[i] = exp::<I>(p[i] - self.lse);
                ds[i] = p[i] * (ds[i] - self.delta);
            }
            store::<I, bf16>(self.p, at, p);
            store::<I, bf16>(self.ds, at, ds);
        }
        // Statements, not a loop over ranges, which costs a third of the backward pass.
        let Range { start, end } = self.visible;
        if start > 0 {
            self.p[..start].fill(bf16::ZERO);
            self.ds[..start].fill(bf16::ZERO);
        }
        self.p[end..].fill(bf16::ZERO);
        self.ds[end..].fill(bf16::ZERO);
    }
}

struct Dot<'a> {
    a: &'a [bf16],
    b: &'a [bf16],
}
impl SimdTask for Dot<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<I: Instructions>(self) -> f32 {
        let mut lanes = [0.0f32; LANES];
        for at in (0..self.a.len()).step_by(LANES) {
            let (a, b) = (load(self.a, at), load(self.b, at));
            for i in 0..LANES {
                lanes[i] = multiply_add::<I>(a[i], b[i], lanes[i]);
            }
        }
        fold(lanes)
    }
}
