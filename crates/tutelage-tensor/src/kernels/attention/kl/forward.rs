//! The value, and the log-sum-exps of both models' scores, in one pass over the keys.

use std::ops::Range;

use super::super::forward::{Inputs, KEYS, QUERIES, transpose};
use super::TeacherMaps;
use crate::device::DisjointOut;
use crate::simd::{BlockProduct, Instructions, Isa, LANES, SimdTask, Strided, exp, fold, largest, multiply_add};
use crate::{Device, Element};

/// What both directions read.
pub(super) struct Pair<'a, T> {
    pub(super) student: Inputs<'a, T>,
    pub(super) teacher: &'a TeacherMaps,
    /// Rows whose queries are compared.
    pub(super) chosen: &'a [bool],
}

/// One model's rotated queries and keys of a head over a document.
pub(super) struct Head {
    pub(super) d: usize,
    /// `[len][d]`, divided by the root of `d`.
    pub(super) queries: Vec<f32>,
    /// `[len][d]`.
    pub(super) keys: Vec<f32>,
    /// `[d][len]`.
    pub(super) keys_t: Vec<f32>,
}

impl Head {
    pub(super) fn new<T: Element>(inputs: &Inputs<'_, T>, rows: &Range<usize>, head: usize) -> Self {
        let (s, d) = (inputs.shape, inputs.shape.d_head);
        let (kv, i) = (head / s.group(), head % s.group());
        let (mut queries, mut keys, mut keys_t) =
            (vec![0.0; rows.len() * d], vec![0.0; rows.len() * d], vec![0.0; rows.len() * d]);
        inputs.rotated_head(rows, s.query(kv, i), s.scale(), &mut queries);
        inputs.rotated_head(rows, s.key(kv), 1.0, &mut keys);
        transpose(&keys, d, &mut keys_t);
        Self { d, queries, keys, keys_t }
    }

    /// Scores of queries `first .. first + n` against keys `start .. start + width`, `[n][KEYS]`.
    pub(super) fn scores(&self, isa: Isa, (first, n): (usize, usize), (start, width): (usize, usize), to: &mut [f32]) {
        let len = self.keys_t.len() / self.d;
        BlockProduct {
            m: n,
            n: width,
            k: self.d,
            a: Strided { data: &self.queries[first * self.d..], row_stride: self.d, column_stride: 1 },
            b: &self.keys_t[start..],
            ldb: len,
            c: to,
            ldc: KEYS,
            accumulate: false,
        }
        .compute(isa);
    }
}

/// A document's rows in the teacher's part, and the part.
pub(super) fn with_teacher<R>(
    teacher: &TeacherMaps,
    rows: &Range<usize>,
    run: impl FnOnce(&Range<usize>, TeacherInputs<'_>) -> R,
) -> R {
    let (first, maps) = teacher.of_row(rows.start);
    run(&(rows.start - first..rows.end - first), TeacherInputs(maps))
}

/// A teacher's head, whatever its activations' type.
pub(super) struct TeacherInputs<'a>(&'a super::AttentionMaps);

impl TeacherInputs<'_> {
    pub(super) fn head(&self, rows: &Range<usize>, head: usize) -> Head {
        let maps = self.0;
        crate::kernels::by_dtype!(maps.qkv.dtype(), T => {
            let inputs = Inputs::<T> {
                shape: maps.shape,
                rope: &maps.rope,
                positions: &maps.places,
                documents: &[],
                qkv: maps.qkv.slice(),
            };
            Head::new(&inputs, rows, head)
        })
    }

    pub(super) fn shape(&self) -> super::AttentionShape {
        self.0.shape
    }
}

/// Log-sum-exps of both models' scores, each `[n_heads][t]`.
pub(super) struct LogSums<'a> {
    pub(super) student: &'a mut [f32],
    pub(super) teacher: &'a mut [f32],
}

/// The sum over the chosen rows of all heads; writes the log-sum-exps of those.
pub(super) fn forward<T: Element>(device: &Device, pair: &Pair<'_, T>, lse: LogSums<'_>) -> f64 {
    let (inputs, s) = (&pair.student, pair.student.shape);
    let n_rows = inputs.positions.len();
    let tasks = inputs.documents.len() * s.n_heads;
    let mut values = vec![0.0; tasks];
    let (values_out, lse_s, lse_t) =
        (DisjointOut::new(&mut values), DisjointOut::new(lse.student), DisjointOut::new(lse.teacher));
    device.for_each(tasks, |task| {
        let (rows, head) = (&inputs.documents[task / s.n_heads], task % s.n_heads);
        let student = Head::new(inputs, rows, head);
        let at = head * n_rows + rows.start;
        // SAFETY: tasks differ in document or head, so no other task writes these rows, or this value.
        let (lse_s, lse_t) = unsafe { (lse_s.slice(at, rows.len()), lse_t.slice(at, rows.len())) };
        // SAFETY: as above.
        let value = unsafe { &mut values_out.slice(task, 1)[0] };
        *value = with_teacher(pair.teacher, rows, |own, inputs| {
            let shapes = (s, inputs.shape());
            let heads = (&student, &inputs.head(own, head));
            let firsts = (0..rows.len()).step_by(QUERIES);
            firsts
                .map(|first| {
                    query_block(device.isa(), shapes, heads, first, &pair.chosen[rows.clone()], (lse_s, lse_t))
                })
                .sum()
        });
    });
    values.iter().sum()
}

fn query_block(
    isa: Isa,
    (student, teacher): (super::AttentionShape, super::AttentionShape),
    heads: (&Head, &Head),
    first: usize,
    chosen: &[bool],
    (lse_s, lse_t): (&mut [f32], &mut [f32]),
) -> f64 {
    let len = chosen.len();
    let n = QUERIES.min(len - first);
    let mut rows = [RowSums::START; QUERIES];
    let (mut ours, mut theirs) = ([0.0; QUERIES * KEYS], [0.0; QUERIES * KEYS]);
    for start in (student.first_key(first) / KEYS * KEYS..first + n).step_by(KEYS) {
        let width = KEYS.min(len - start);
        heads.0.scores(isa, (first, n), (start, width), &mut ours);
        heads.1.scores(isa, (first, n), (start, width), &mut theirs);
        for (r, sums) in rows[..n].iter_mut().enumerate() {
            let (ours, theirs) = (&ours[r * KEYS..][..width], &mut theirs[r * KEYS..][..width]);
            let seen = (student.visible(first + r, start, width), teacher.visible(first + r, start, width));
            if chosen[first + r] && !seen.0.is_empty() {
                isa.run(AddKeys { ours, theirs, seen, sums });
            }
        }
    }
    let mut value = 0.0;
    for (r, sums) in rows[..n].iter().enumerate().filter(|(r, _)| chosen[first + r]) {
        lse_s[first + r] = sums.max_s + sums.sum_s.ln();
        lse_t[first + r] = sums.max_t + sums.sum_t.ln();
        let difference = f64::from(sums.difference) / f64::from(sums.sum_t);
        value += difference - f64::from(lse_t[first + r]) + f64::from(lse_s[first + r]);
    }
    value
}

/// Running sums of a query over its keys, against running maxima.
#[derive(Clone, Copy)]
struct RowSums {
    max_s: f32,
    sum_s: f32,
    max_t: f32,
    sum_t: f32,
    /// Of the teacher's weights times the difference of scores, the teacher's less the student's.
    difference: f32,
}

impl RowSums {
    const START: Self =
        Self { max_s: f32::NEG_INFINITY, sum_s: 0.0, max_t: f32::NEG_INFINITY, sum_t: 0.0, difference: 0.0 };
}

/// Adds keys to the sums; `theirs` is overwritten.
struct AddKeys<'a> {
    ours: &'a [f32],
    theirs: &'a mut [f32],
    seen: (Range<usize>, Range<usize>),
    sums: &'a mut RowSums,
}
impl SimdTask for AddKeys<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        let Self { ours, theirs, seen, sums } = self;
        let row = &ours[seen.0];
        let max = largest(row).max(sums.max_s);
        let sum = lane_sum(row.len(), |i| exp::<I>(row[i] - max));
        sums.sum_s = multiply_add::<I>(sums.sum_s, exp::<I>(sums.max_s - max), sum);
        sums.max_s = max;
        let (row, other) = (&mut theirs[seen.1.clone()], &ours[seen.1]);
        if row.is_empty() {
            return;
        }
        let max = largest(row).max(sums.max_t);
        let shrink = exp::<I>(sums.max_t - max);
        let difference = lane_sum(row.len(), |i| {
            let score = row[i];
            row[i] = exp::<I>(score - max);
            row[i] * (score - other[i])
        });
        let sum = lane_sum(row.len(), |i| row[i]);
        sums.difference = multiply_add::<I>(sums.difference, shrink, difference);
        sums.sum_t = multiply_add::<I>(sums.sum_t, shrink, sum);
        sums.max_t = max;
    }
}

/// A sum in lanes, folded in a fixed order.
#[inline(always)]
fn lane_sum(n: usize, mut term: impl FnMut(usize) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let whole = n / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane += term(start + i);
        }
    }
    for (i, lane) in (whole..n).zip(&mut lanes) {
        *lane += term(i);
    }
    fold(lanes)
}
