//! A row over the pages of its sequence, with a running softmax from page to page.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use super::over_avx512;
use super::{PAGE, Pages, Rows, Span};
use crate::device::DisjointOut;
use crate::simd::{Instructions, LANES, SimdTask, exp, fold, largest, multiply_add, prefetch_lines};
use crate::{Device, Element, Isa};

/// Queries that share a key-value head and are handled together.
const QUERIES: usize = 4;
/// Groups of lanes in a page.
const GROUPS: usize = PAGE / LANES;
/// Columns of values that are summed together.
const COLUMNS: usize = 32;
const PARTS: usize = COLUMNS / LANES;

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
                if let Some(&next) = span.pages.get(page + 1).filter(|_| (page + 1) * PAGE < seen.end) {
                    // Pages lie anywhere, where the machine does not look ahead by itself.
                    for rows in [pages.keys(next, kv), pages.values(next, kv)] {
                        prefetch_lines(rows.as_ptr(), size_of_val(rows) / 64);
                    }
                }
                let page = Page {
                    isa: device.isa(),
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
    isa: Isa,
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
        let Page { isa, queries, keys, values, seen, sums, totals } = self.0;
        let (d, dp) = (queries.len() / N, sums.len() / N);
        let queries: [&[f32]; N] = std::array::from_fn(|n| &queries[n * d..][..d]);
        let mut weights = scores::<I, T, N>(isa, queries, keys);
        let mut shrinks = [0.0; N];
        for n in 0..N {
            let weights = &mut weights[n];
            weights[..seen.start].fill(f32::NEG_INFINITY);
            weights[seen.end..].fill(f32::NEG_INFINITY);
            let (before, sum) = totals[n];
            let largest = largest(weights);
            // Scores that are no numbers are no maximum, but are seen in the sum.
            let max = if largest > before { largest } else { before };
            let mut lanes = [0.0; LANES];
            for chunk in weights.as_chunks_mut::<LANES>().0 {
                for i in 0..LANES {
                    chunk[i] = exp::<I>(chunk[i] - max);
                    lanes[i] += chunk[i];
                }
            }
            shrinks[n] = if before == f32::NEG_INFINITY { 0.0 } else { exp::<I>(before - max) };
            totals[n] = (max, multiply_add::<I>(sum, shrinks[n], fold(lanes)));
        }
        add_values::<I, T, N>(isa, sums, dp, values, (&weights, shrinks), seen);
    }
}

/// Products of queries with the keys of a page, `[d][PAGE]`.
#[inline(always)]
fn scores<I: Instructions, T: Element, const N: usize>(isa: Isa, queries: [&[f32]; N], keys: &[T]) -> [[f32; PAGE]; N] {
    #[cfg(target_arch = "x86_64")]
    if isa <= Isa::Avx512 {
        // SAFETY: a `Device` holds such an `Isa` only after AVX-512 was found.
        return unsafe { over_avx512::scores(queries, keys) };
    }
    let _ = isa;
    // Elements of `scores` are not picked one by one, so that they stay in registers.
    let mut scores = [[[0.0; LANES]; GROUPS]; N];
    let d = queries.first().map_or(0, |query| query.len());
    for (c, keys) in keys.as_chunks::<PAGE>().0.iter().take(d).enumerate() {
        for group in 0..GROUPS {
            let key: [f32; LANES] = std::array::from_fn(|i| keys[group * LANES + i].to_f32());
            for n in 0..N {
                for i in 0..LANES {
                    scores[n][group][i] = multiply_add::<I>(queries[n][c], key[i], scores[n][group][i]);
                }
            }
        }
    }
    let mut out = [[0.0; PAGE]; N];
    for (out, scores) in out.iter_mut().zip(&scores) {
        out.copy_from_slice(scores.as_flattened());
    }
    out
}

/// `sums = shrink * sums + weights values`, of sums `[N][width]` and values `[PAGE][width]`. Whole groups of columns,
/// without the ends of rows: a row is padded to them.
#[inline(always)]
fn add_values<I: Instructions, T: Element, const N: usize>(
    isa: Isa,
    sums: &mut [f32],
    width: usize,
    values: &[T],
    (weights, shrinks): (&[[f32; PAGE]; N], [f32; N]),
    seen: Range<usize>,
) {
    let groups = width / COLUMNS;
    #[cfg(target_arch = "x86_64")]
    if isa <= Isa::Avx512 {
        for pair in (0..groups).step_by(2) {
            let (at, with) = ((pair * COLUMNS, width), (weights, shrinks));
            // SAFETY: a `Device` holds such an `Isa` only after AVX-512 was found.
            unsafe {
                match groups - pair {
                    1 => over_avx512::add_values::<T, N, PARTS>(sums, at, values, with, seen.clone()),
                    _ => over_avx512::add_values::<T, N, { 2 * PARTS }>(sums, at, values, with, seen.clone()),
                }
            }
        }
        return;
    }
    let _ = isa;
    let (values, sums) = (values.as_chunks::<COLUMNS>().0, sums.as_chunks_mut::<COLUMNS>().0);
    for group in 0..groups {
        let mut block = [[[0.0; LANES]; PARTS]; N];
        for n in 0..N {
            for part in 0..PARTS {
                for i in 0..LANES {
                    block[n][part][i] = sums[n * groups + group][part * LANES + i] * shrinks[n];
                }
            }
        }
        for t in seen.clone() {
            let value = &values[t * groups + group];
            let weight: [f32; N] = std::array::from_fn(|n| weights[n][t % PAGE]);
            for part in 0..PARTS {
                let value: [f32; LANES] = std::array::from_fn(|i| value[part * LANES + i].to_f32());
                for n in 0..N {
                    for i in 0..LANES {
                        block[n][part][i] = multiply_add::<I>(weight[n], value[i], block[n][part][i]);
                    }
                }
            }
        }
        for n in 0..N {
            sums[n * groups + group].copy_from_slice(block[n].as_flattened());
        }
    }
}
