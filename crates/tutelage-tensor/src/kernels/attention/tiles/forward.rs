//! Forward.

use half::bf16;

use super::super::forward::Inputs;
use super::head::Padded;
use super::{KEYS, QUERIES};
use crate::Device;
use crate::device::DisjointOut;
use crate::matmul::{SmallProduct, Tiles};
use crate::simd::{Instructions, LANES, SimdTask, exp, fold, load, multiply_add, store};

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
        let mut work = Work {
            scores: device.buffer(QUERIES * KEYS),
            p: device.buffer(QUERIES * KEYS),
            sums: device.buffer(QUERIES * size.dp),
        };
        let tiles = Tiles::begin(device.isa());
        for i in 0..s.group() {
            size.load(device, inputs, rows, s.query(kv, i), Some(s.scale()), &mut queries);
            let head = kv * s.group() + i;
            // SAFETY: tasks differ in document or head, so no other task writes these rows of `lse`.
            let lse = unsafe { lse.slice(head * n_rows + rows.start, size.len) };
            for first in (0..size.len).step_by(QUERIES) {
                let totals = query_block(device, &tiles, size, (&queries, &keys, &values), first, &mut work);
                for r in 0..QUERIES.min(size.len - first) {
                    let (max, sum) = totals[r];
                    lse[first + r] = max + sum.ln();
                    let at = (rows.start + first + r) * s.out_width() + head * s.d_head;
                    // SAFETY: as above, for these columns of `out`.
                    let to = unsafe { out.slice(at, s.d_head) };
                    device.isa().run(Finish { sums: &work.sums[r * size.dp..][..s.d_head], factor: 1.0 / sum, to });
                }
            }
        }
    });
}

struct Work {
    scores: crate::Buffer<f32>,
    p: crate::Buffer<bf16>,
    sums: crate::Buffer<f32>,
}

/// Attention of 32 queries from `first` on over all keys they may see; gives each row's maximum and sum, and
/// leaves the weighted sums of values.
fn query_block(
    device: &Device,
    tiles: &Tiles,
    size: Padded,
    (queries, keys, values): (&[bf16], &[bf16], &[bf16]),
    first: usize,
    work: &mut Work,
) -> [(f32, f32); QUERIES] {
    let mut totals = [(f32::NEG_INFINITY, 0.0); QUERIES];
    work.sums.fill(0.0);
    for start in (0..first + QUERIES).step_by(KEYS) {
        let width = KEYS.min(first + QUERIES - start);
        for column in (0..width).step_by(32) {
            // SAFETY: 32 rows of queries and 32 of keys exist (padded), the scores have 32 rows of KEYS.
            unsafe {
                tiles.product::<false>(SmallProduct {
                    a: queries[first * size.dp..].as_ptr(),
                    a_row_bytes: size.row_bytes(),
                    a_half_bytes: 16 * size.row_bytes(),
                    b: keys[(start + column) * size.dp..].as_ptr(),
                    b_panel_bytes: 32 * size.dp,
                    steps: size.dp / 32,
                    c: work.scores[column..].as_mut_ptr(),
                    c_row_bytes: 4 * KEYS,
                });
            }
        }
        for (r, total) in totals.iter_mut().enumerate() {
            let visible = (first + r + 1).saturating_sub(start).min(width);
            let (scores, p) = (&mut work.scores[r * KEYS..][..width], &mut work.p[r * KEYS..][..width]);
            let sums = &mut work.sums[r * size.dp..][..size.dp];
            device.isa().run(RunningSoftmax { scores, p, sums, visible, total });
        }
        for column in (0..size.dp).step_by(32) {
            // SAFETY: 32 rows of KEYS weights exist, of which `width` are set; `width` rows of values exist.
            unsafe {
                tiles.product::<true>(SmallProduct {
                    a: work.p.as_ptr(),
                    a_row_bytes: 2 * KEYS,
                    a_half_bytes: 32 * KEYS,
                    b: values[column * size.lp + start * 16..].as_ptr(),
                    b_panel_bytes: size.panel_bytes(),
                    steps: width / 32,
                    c: work.sums[column..].as_mut_ptr(),
                    c_row_bytes: 4 * size.dp,
                });
            }
        }
    }
    totals
}

/// Turns scores into unnormalised weights against the running maximum, and shrinks the sums so far to it. Keys
/// from `visible` on get weight zero.
struct RunningSoftmax<'a> {
    scores: &'a mut [f32],
    p: &'a mut [bf16],
    sums: &'a mut [f32],
    visible: usize,
    total: &'a mut (f32, f32),
}
impl SimdTask for RunningSoftmax<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        if self.visible == 0 {
            self.p.fill(bf16::ZERO);
            return;
        }
        self.scores[self.visible..].fill(f32::NEG_INFINITY);
        let (chunks, _) = self.scores.as_chunks::<LANES>();
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for chunk in chunks {
            for i in 0..LANES {
                lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
            }
        }
        let (before, sum) = *self.total;
        let max = lanes.into_iter().fold(before, f32::max);
        let mut lanes = [0.0; LANES];
        let (out, _) = self.p.as_chunks_mut::<LANES>();
        for (chunk, out) in chunks.iter().zip(out) {
            let mut p = [0.0; LANES];
            for i in 0..LANES {
                p[i] = exp::<I>(chunk[i] - max);
                lanes[i] += p[i];
            }
            *out = I::round(p);
        }
        let shrink = exp::<I>(before - max);
        if shrink != 1.0 {
            for x in self.sums {
                *x *= shrink;
            }
        }
        *self.total = (max, multiply_add::<I>(sum, shrink, fold(lanes)));
    }
}

struct Finish<'a> {
    sums: &'a [f32],
    factor: f32,
    to: &'a mut [bf16],
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
