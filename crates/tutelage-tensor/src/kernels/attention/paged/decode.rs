//! A row over the pages of its sequence, with a running softmax from page to page.

use std::ops::Range;

use super::{PAGE, Pages, Rows, Span};
use crate::device::DisjointOut;
use crate::simd::{Instructions, LANES, SimdTask, exp, fold, largest, load, multiply_add, store};
use crate::{Device, Element};

/// Queries that share a key-value head and are handled together.
const QUERIES: usize = 4;
/// Groups of lanes in a page.
const GROUPS: usize = PAGE / LANES;
/// Columns of values that are summed together.
const COLUMNS: usize = 32;

/// Attends row by row and head by head.
pub(super) fn decode<T: Element>(
    device: &Device,
    rows: &Rows<'_, T>,
    pages: &Pages<'_, T>,
    spans: &[&Span<'_>],
    out: &DisjointOut<'_, T>,
) {
    let (s, d, dp) = (rows.shape, rows.shape.d_head, pages.d_padded());
    let all: Vec<(&Span<'_>, usize)> =
        spans.iter().flat_map(|span| span.rows.clone().map(move |row| (*span, row))).collect();
    device.for_each(all.len() * s.n_kv_heads, |index| {
        let ((span, row), kv) = (all[index / s.n_kv_heads], index % s.n_kv_heads);
        let position = span.first + row - span.rows.start;
        for first in (0..s.group()).step_by(QUERIES) {
            let n = QUERIES.min(s.group() - first);
            let mut queries = vec![0.0; n * d];
            for (i, query) in queries.chunks_exact_mut(d).enumerate() {
                rows.rotated(row, s.query(kv, first + i), s.scale(), query);
            }
            let mut sums = vec![0.0; n * dp];
            let mut totals = [(f32::NEG_INFINITY, 0.0); QUERIES];
            let seen = s.first_key(position)..position + 1;
            for page in seen.start / PAGE..seen.end.div_ceil(PAGE) {
                let number = span.pages[page];
                let page = Page {
                    queries: &queries,
                    keys: pages.keys(number, kv),
                    values: pages.values(number, kv),
                    seen: seen.start.saturating_sub(page * PAGE)..(seen.end - page * PAGE).min(PAGE),
                    sums: &mut sums,
                    totals: &mut totals,
                };
                match n {
                    1 => device.isa().run(Over::<'_, T, 1>(page)),
                    2 => device.isa().run(Over::<'_, T, 2>(page)),
                    3 => device.isa().run(Over::<'_, T, 3>(page)),
                    _ => device.isa().run(Over::<'_, T, QUERIES>(page)),
                }
            }
            for (i, sums) in sums.chunks_exact(dp).enumerate() {
                let at = row * s.out_width() + (kv * s.group() + first + i) * d;
                // SAFETY: tasks differ in row or head, whose columns these are.
                let to = unsafe { out.slice(at, d) };
                for (to, &sum) in to.iter_mut().zip(sums) {
                    *to = T::from_f32(sum / totals[i].1);
                }
            }
        }
    });
}

/// Some queries and one page of keys and values.
struct Page<'a, T> {
    /// `[n][d]`.
    queries: &'a [f32],
    keys: &'a [T],
    values: &'a [T],
    /// Keys that are seen.
    seen: Range<usize>,
    /// Weighted sums of values so far, `[n][d_padded]`.
    sums: &'a mut [f32],
    /// Maximum and sum of weights so far.
    totals: &'a mut [(f32, f32); QUERIES],
}

/// The work on a page for `N` queries.
struct Over<'a, T, const N: usize>(Page<'a, T>);

impl<T: Element, const N: usize> SimdTask for Over<'_, T, N> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        let Page { queries, keys, values, seen, sums, totals } = self.0;
        let (d, dp) = (queries.len() / N, sums.len() / N);
        let mut scores = [[[0.0; LANES]; GROUPS]; N];
        for (c, keys) in keys.chunks_exact(PAGE).take(d).enumerate() {
            for group in 0..GROUPS {
                let key = load(keys, group * LANES);
                for (n, scores) in scores.iter_mut().enumerate() {
                    let query = queries[n * d + c];
                    for i in 0..LANES {
                        scores[group][i] = multiply_add::<I>(query, key[i], scores[group][i]);
                    }
                }
            }
        }
        let mut shrinks = [0.0; N];
        for (n, scores) in scores.iter_mut().enumerate() {
            let scores = scores.as_flattened_mut();
            scores[..seen.start].fill(f32::NEG_INFINITY);
            scores[seen.end..].fill(f32::NEG_INFINITY);
            let (before, sum) = totals[n];
            let largest = largest(scores);
            // Scores that are no numbers are no maximum, but are seen in the sum.
            let max = if largest > before { largest } else { before };
            let mut lanes = [0.0; LANES];
            for chunk in scores.as_chunks_mut::<LANES>().0 {
                for i in 0..LANES {
                    chunk[i] = exp::<I>(chunk[i] - max);
                    lanes[i] += chunk[i];
                }
            }
            shrinks[n] = if before == f32::NEG_INFINITY { 0.0 } else { exp::<I>(before - max) };
            totals[n] = (max, multiply_add::<I>(sum, shrinks[n], fold(lanes)));
        }
        for column in (0..dp).step_by(COLUMNS) {
            let mut block = [[[0.0; LANES]; COLUMNS / LANES]; N];
            for (n, block) in block.iter_mut().enumerate() {
                for (group, lanes) in block.iter_mut().enumerate() {
                    *lanes = load(sums, n * dp + column + group * LANES).map(|x| x * shrinks[n]);
                }
            }
            for t in seen.clone() {
                for group in 0..COLUMNS / LANES {
                    let value = load(values, t * dp + column + group * LANES);
                    for (n, block) in block.iter_mut().enumerate() {
                        let weight = scores[n][t / LANES][t % LANES];
                        for i in 0..LANES {
                            block[group][i] = multiply_add::<I>(weight, value[i], block[group][i]);
                        }
                    }
                }
            }
            for (n, block) in block.iter().enumerate() {
                for (group, &lanes) in block.iter().enumerate() {
                    store::<I, f32>(sums, n * dp + column + group * LANES, lanes);
                }
            }
        }
    }
}
