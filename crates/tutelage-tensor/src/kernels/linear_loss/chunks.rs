//! The chunk loop.
//!
//! Logits exist for few rows at a time, as many as stay in the third-level cache; their gradients, rounded to the
//! activations' type, for more rows: the gradient of the output layer is read and written once for all of those.

use super::super::by_dtype;
use super::super::linear::cpu as linear;
use super::teacher::{Room, row_range};
use super::{LogitObjective, LossMemory, TeacherLogits};
use crate::device::DisjointOut;
use crate::matmul::{Out, Round};
use crate::simd::RowMath;
use crate::{Buffer, Device, Element, Grads, ParamId, Params, Tensor};

/// Bytes of f32 logits that are aimed at.
const LOGIT_BYTES: usize = 96 << 20;
/// Bytes of gradients of logits that are aimed at, counted in bf16.
const GRADIENT_BYTES: usize = 96 << 20;

/// Rows of logits at a time, and rows of gradients, a multiple of them. Functions of the vocabulary alone, so that
/// results do not depend on anything else.
fn chunk_rows(vocabulary: usize) -> (usize, usize) {
    let logits = (LOGIT_BYTES / (4 * vocabulary)).clamp(64, 512) / 32 * 32;
    let gradients = (GRADIENT_BYTES / (2 * vocabulary)).clamp(logits, 1024) / logits * logits;
    (logits, gradients)
}

/// See [`super::LossMemory::bytes`].
pub(super) fn bytes(of: LossMemory, backward: bool) -> usize {
    let (logits, gradients) = chunk_rows(of.vocabulary);
    let models = if of.taught { 2 } else { 1 };
    let gradients = if backward { of.activation.size() * of.vocabulary * gradients.min(of.t) } else { 0 };
    4 * models * of.vocabulary * logits.min(of.t) + gradients
}

/// Sums of the objective's terms over all rows; with `backward`, also the gradients.
pub(super) fn run(
    params: &Params,
    head: ParamId,
    hidden: &Tensor,
    teacher: Option<&TeacherLogits<'_>>,
    objective: &dyn LogitObjective,
    mut backward: Option<(&mut Grads, &mut Tensor)>,
) -> Vec<f64> {
    let device = params.device();
    let (t, d) = hidden.dims2();
    let v = params.get(head).shape()[0];
    let (logit_rows, gradient_rows) = chunk_rows(v);
    let mut pass = Pass {
        params,
        head,
        teacher: teacher.map(|teacher| (teacher, Room::new(device, teacher, t, logit_rows.min(t.max(1)), v))),
        objective,
        logits: device.buffer(logit_rows.min(t.max(1)) * v),
        sums: vec![0.0; objective.n_terms()],
    };
    by_dtype!(hidden.dtype(), T => {
        for start in (0..t).step_by(gradient_rows) {
            let n = gradient_rows.min(t - start);
            let mut gradient = backward.is_some().then(|| device.buffer::<T>(n * v));
            for first in (0..n).step_by(logit_rows) {
                let rows = logit_rows.min(n - first);
                let gradient_rv = gradient.as_mut().map(|rows_v| &mut rows_v[first * v..][..rows * v]);
                pass.rows(hidden, start + first, rows, gradient_rv);
            }
            if let (Some(gradient), Some((grads, d_hidden))) = (gradient, &mut backward) {
                let gradient = Tensor::new([n, v], gradient);
                let chunk = row_range(device, hidden, start, n);
                if let Some(dw) = grads.out(head) {
                    device.timed("head weight gradient", || linear::weight_gradient(device, &gradient, &chunk, dw));
                }
                let Some(out) = d_hidden.slice_mut::<T>() else {
                    unreachable!("the hidden gradient is not shared before the pass")
                };
                let out = &mut out[start * d..(start + n) * d];
                device.timed("head input gradient", || linear::input_gradient_into(params, head, &gradient, out));
            }
        }
    });
    pass.sums
}

struct Pass<'a> {
    params: &'a Params,
    head: ParamId,
    teacher: Option<(&'a TeacherLogits<'a>, Room)>,
    objective: &'a dyn LogitObjective,
    logits: Buffer<f32>,
    sums: Vec<f64>,
}

impl Pass<'_> {
    /// The objective of rows `start .. start + n`, added to the sums; and the gradient of their logits.
    fn rows<T: Element>(&mut self, hidden: &Tensor, start: usize, n: usize, gradient_rv: Option<&mut [T]>) {
        let device = self.params.device();
        let v = self.params.get(self.head).shape()[0];
        let chunk = row_range(device, hidden, start, n);
        let logits_rv = &mut self.logits[..n * v];
        device.timed("head", || linear::forward_into(self.params, self.head, &chunk, Out::F32(logits_rv)));
        let teacher = self.teacher.as_mut().map(|(teacher, room)| {
            let has_teacher = room.fill(device, teacher, start, n);
            (&mut room.logits[..n * v], has_teacher)
        });
        let objective = self.objective;
        let terms =
            device.timed("objective", || evaluate(device, objective, (start, v), logits_rv, teacher, gradient_rv));
        for row in terms.chunks_exact(self.sums.len().max(1)) {
            for (sum, term) in self.sums.iter_mut().zip(row) {
                *sum += term;
            }
        }
    }
}

/// The terms of an objective that looks at teachers' logits in the place of a student's, summed over the rows that have a teacher.
pub fn teacher_terms(teacher: &TeacherLogits<'_>, objective: &dyn LogitObjective) -> Vec<f64> {
    let mut sums = vec![0.0; objective.n_terms()];
    let Some(member) = teacher.members().next() else { return sums };
    let (device, v) = (member.params.device(), member.params.get(member.head).shape()[0]);
    let t = teacher.parts.iter().flat_map(|part| &part.rows).map(|rows| rows.end).max().unwrap_or(0);
    let (logit_rows, _) = chunk_rows(v);
    let mut room = Room::new(device, teacher, t, logit_rows.min(t.max(1)), v);
    for start in (0..t).step_by(logit_rows) {
        let n = logit_rows.min(t - start);
        let has_teacher = room.fill(device, teacher, start, n);
        let terms = evaluate::<f32>(device, objective, (start, v), &mut room.logits[..n * v], None, None);
        for (row, _) in terms.chunks_exact(sums.len().max(1)).zip(has_teacher).filter(|(_, has)| *has) {
            sums.iter_mut().zip(row).for_each(|(sum, term)| *sum += term);
        }
    }
    sums
}

/// Runs the objective on each row; returns the terms of each.
fn evaluate<T: Element>(
    device: &Device,
    objective: &dyn LogitObjective,
    (start, v): (usize, usize),
    logits_rv: &mut [f32],
    teacher_rv: Option<(&mut [f32], Vec<bool>)>,
    gradient_rv: Option<&mut [T]>,
) -> Vec<f64> {
    let math = RowMath::new(device.isa());
    let (n, n_terms) = (logits_rv.len() / v, objective.n_terms());
    let mut terms = vec![0.0; n * n_terms];
    let (terms_out, logits) = (DisjointOut::new(&mut terms), DisjointOut::new(logits_rv));
    let teacher = teacher_rv.map(|(rows, has_teacher)| (DisjointOut::new(rows), has_teacher));
    let gradient = gradient_rv.map(DisjointOut::new);
    device.for_each(n, |r| {
        // SAFETY: each task has its own row, of all four.
        let (logits, terms) = unsafe { (logits.slice(r * v, v), terms_out.slice(r * n_terms, n_terms)) };
        // SAFETY: as above.
        let teacher = teacher.as_ref().filter(|(_, has)| has[r]).map(|(rows, _)| unsafe { rows.slice(r * v, v) });
        objective.row(math, start + r, logits, teacher, gradient.is_some(), terms);
        if let Some(gradient) = &gradient {
            // SAFETY: as above.
            device.isa().run(Round { from: logits, to: unsafe { gradient.slice(r * v, v) } });
        }
    });
    terms
}
