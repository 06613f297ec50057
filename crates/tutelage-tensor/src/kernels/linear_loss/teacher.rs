//! Live teachers' logits, not yet multiplied out.

use std::ops::Range;

use super::super::by_dtype;
use super::super::linear::cpu as linear;
use crate::device::DisjointOut;
use crate::matmul::Out;
use crate::simd::RowMath;
use crate::{Buffer, Device, ParamId, Params, Tensor};

/// What live teachers say of a batch.
#[derive(Clone)]
pub struct TeacherLogits<'a> {
    /// Each of its own rows; rows that are nobody's have no teacher.
    pub parts: Vec<TeacherPart<'a>>,
}

/// What one teacher, or several together, say of some rows.
#[derive(Clone)]
pub struct TeacherPart<'a> {
    /// Rows of the batch, rising.
    pub rows: Vec<Range<usize>>,
    /// Whose distributions are averaged.
    pub members: Vec<TeacherMember<'a>>,
}

/// One model's share.
#[derive(Clone)]
pub struct TeacherMember<'a> {
    /// Weight of its distribution; those of a part add up to one.
    pub weight: f32,
    /// Last hidden states of the part's rows, end to end `[rows, d_teacher]`, in the type of the teacher's activations.
    pub hidden: Tensor,
    /// The teacher's parameters.
    pub params: &'a Params,
    /// Its output layer `[v_teacher, d_teacher]`.
    pub head: ParamId,
    /// Entries of the vocabulary; rows of the output layer beyond them stand for nothing, and get no mass.
    pub vocabulary: usize,
}

impl TeacherMember<'_> {
    fn rows(&self) -> usize {
        self.params.get(self.head).shape()[0]
    }
}

/// A logit whose probability is zero in any row: stands where a teacher has no entry.
pub const MISSING: f32 = -1e30;

impl<'a> TeacherLogits<'a> {
    /// One model that speaks of every row, whose output layer has a row for each entry of the vocabulary.
    pub fn one(hidden: Tensor, params: &'a Params, head: ParamId) -> Self {
        let vocabulary = params.get(head).shape()[0];
        Self::of(TeacherMember { weight: 1.0, hidden, params, head, vocabulary })
    }

    /// One member that speaks of every row.
    pub fn of(member: TeacherMember<'a>) -> Self {
        let rows = std::iter::once(0..member.hidden.dims2().0).collect();
        Self { parts: vec![TeacherPart { rows, members: vec![member] }] }
    }

    /// The one model that speaks of every of `t` rows with every row of its output layer, of which there are `v`, if it is one.
    pub(super) fn plain(&self, t: usize, v: usize) -> Option<&TeacherMember<'a>> {
        self.alone(t).filter(|member| (member.rows(), member.vocabulary) == (v, v))
    }

    /// The one model that speaks of every of `t` rows, if it is one.
    pub fn alone(&self, t: usize) -> Option<&TeacherMember<'a>> {
        let [TeacherPart { rows, members }] = &self.parts[..] else { return None };
        match (&rows[..], &members[..]) {
            ([all], [member]) if *all == (0..t) => Some(member),
            _ => None,
        }
    }

    /// All members.
    pub fn members(&self) -> impl Iterator<Item = &TeacherMember<'a>> {
        self.parts.iter().flat_map(|part| &part.members)
    }
}

/// Buffers for the logits of some rows at a time.
pub(super) struct Room {
    /// `[rows, v]`
    pub(super) logits: Buffer<f32>,
    /// The same again, where rows of several teachers are mixed.
    beside: Option<Buffer<f32>>,
    v: usize,
}

impl Room {
    pub(super) fn new(device: &Device, teacher: &TeacherLogits<'_>, t: usize, rows: usize, v: usize) -> Self {
        let beside = teacher.alone(t).is_none().then(|| device.buffer(rows * v));
        Self { logits: device.buffer(rows * v), beside, v }
    }

    /// Logits of rows `start .. start + n` of the batch; of each whether it has a teacher.
    ///
    /// The logits of an average are the logarithms of its probabilities.
    pub(super) fn fill(&mut self, device: &Device, teacher: &TeacherLogits<'_>, start: usize, n: usize) -> Vec<bool> {
        let mut has_teacher = vec![false; n];
        for part in &teacher.parts {
            let (first, places) = places(&part.rows, start, n);
            places.iter().for_each(|&row| has_teacher[row] = true);
            match (&part.members[..], &mut self.beside) {
                ([member], None) => multiply(member, first, &mut self.logits[..n * self.v], self.v),
                (members, Some(beside)) if !places.is_empty() => {
                    let of_part = &mut beside[..places.len() * self.v];
                    for (i, member) in members.iter().enumerate() {
                        multiply(member, first, of_part, self.v);
                        let weight = if members.len() > 1 { Some(member.weight) } else { None };
                        put(device, of_part, (&mut self.logits, &places), self.v, weight, i == 0);
                    }
                    if members.len() > 1 {
                        let entries = members.iter().map(|member| member.vocabulary).max().unwrap_or(self.v);
                        logarithms(device, (&mut self.logits, &places), self.v, entries);
                    }
                }
                _ => {}
            }
        }
        has_teacher
    }
}

/// The first of a part's own rows in `start .. start + n`, and where those lie in it.
fn places(rows: &[Range<usize>], start: usize, n: usize) -> (usize, Vec<usize>) {
    let (mut before, mut first, mut out) = (0, 0, Vec::new());
    for range in rows {
        let inside = range.start.max(start)..range.end.min(start + n);
        if !inside.is_empty() {
            if out.is_empty() {
                first = before + inside.start - range.start;
            }
            out.extend(inside.map(|row| row - start));
        }
        before += range.len();
    }
    (first, out)
}

/// Logits of the member's rows from `first` on, as many as there is room for, over a vocabulary of `v` rows.
fn multiply(member: &TeacherMember<'_>, first: usize, logits_rv: &mut [f32], v: usize) {
    let (device, rows) = (member.params.device(), member.rows());
    let n = logits_rv.len() / v;
    let chunk = row_range(device, &member.hidden, first, n);
    device.timed("teacher head", || {
        if rows == v {
            linear::forward_into(member.params, member.head, &chunk, Out::F32(logits_rv));
            return device.for_each_block(logits_rv, v, |_, row| row[member.vocabulary..].fill(MISSING));
        }
        let mut own = device.buffer::<f32>(n * rows);
        linear::forward_into(member.params, member.head, &chunk, Out::F32(&mut own));
        let kept = member.vocabulary.min(v);
        device.for_each_block(logits_rv, v, |i, row| {
            row[..kept].copy_from_slice(&own[i * rows..][..kept]);
            row[kept..].fill(MISSING);
        });
    });
}

/// Copies rows to their places, or with a weight adds their softmax.
fn put(
    device: &Device,
    from_rv: &mut [f32],
    (to, places): (&mut [f32], &[usize]),
    v: usize,
    weight: Option<f32>,
    is_first: bool,
) {
    let math = RowMath::new(device.isa());
    let (from, to) = (DisjointOut::new(from_rv), DisjointOut::new(to));
    device.for_each(places.len(), |i| {
        // SAFETY: each task has its own row of both: places are distinct.
        let (from, to) = unsafe { (from.slice(i * v, v), to.slice(places[i] * v, v)) };
        if let Some(weight) = weight {
            math.softmax_times(from, 1.0, weight);
        }
        match weight.is_none() || is_first {
            true => to.copy_from_slice(from),
            false => math.add_scaled(to, from, 1.0),
        }
    });
}

/// Of the first `entries` of each row; the others are padding.
fn logarithms(device: &Device, (rows, places): (&mut [f32], &[usize]), v: usize, entries: usize) {
    let math = RowMath::new(device.isa());
    let rows = DisjointOut::new(rows);
    device.for_each(places.len(), |i| {
        // SAFETY: each task has its own row: places are distinct.
        let (standing, padding) = unsafe { rows.slice(places[i] * v, v) }.split_at_mut(entries.min(v));
        math.ln(standing);
        padding.fill(MISSING);
    });
}

/// Rows `start .. start + n` of a matrix.
pub(super) fn row_range(device: &Device, x: &Tensor, start: usize, n: usize) -> Tensor {
    let (_, d) = x.dims2();
    by_dtype!(x.dtype(), T => {
        let mut rows = device.buffer::<T>(n * d);
        rows.copy_from_slice(&x.slice::<T>()[start * d..][..n * d]);
        Tensor::new([n, d], rows)
    })
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn rows_of_a_part_are_found() {
        let rows = [2..5, 8..9, 12..20];
        assert_eq!(places(&rows, 0, 4), (0, vec![2, 3]));
        assert_eq!(places(&rows, 4, 10), (2, vec![0, 4, 8, 9]));
        assert_eq!(places(&rows, 5, 3), (0, vec![]));
        assert_eq!(places(&rows, 16, 9), (8, vec![0, 1, 2, 3]));
    }
}
