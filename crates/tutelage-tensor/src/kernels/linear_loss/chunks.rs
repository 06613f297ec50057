//! The chunk loop.

use super::super::by_dtype;
use super::super::linear::cpu as linear;
use super::{LogitObjective, TeacherLogits};
use crate::matmul::{Lhs, Out, matmul, rounded};
use crate::simd::RowMath;
use crate::{Buffer, DType, Device, Grads, ParamId, Params, Tensor};

/// Bytes of one chunk of f32 logits that are aimed at.
const CHUNK_BYTES: usize = 96 << 20;

/// Rows of a chunk; a function of the vocabulary alone, so that results do not depend on anything else.
fn chunk_rows(vocabulary: usize) -> usize {
    (CHUNK_BYTES / (4 * vocabulary)).clamp(128, 512) / 32 * 32
}

/// Bytes of f32 logits that exist at a time for this vocabulary; a live teacher's are as many again.
pub fn chunk_bytes(vocabulary: usize) -> usize {
    4 * vocabulary * chunk_rows(vocabulary)
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
    let (t, _) = hidden.dims2();
    let v = params.get(head).shape()[0];
    let n_terms = objective.n_terms();
    let mut sums = vec![0.0; n_terms];
    let rows = chunk_rows(v);
    let mut logits = device.buffer::<f32>(rows.min(t.max(1)) * v);
    let mut teacher_logits = teacher.map(|_| device.buffer::<f32>(logits.len()));
    for start in (0..t).step_by(rows) {
        let n = rows.min(t - start);
        let chunk = row_range(device, hidden, start, n);
        let logits_rv = &mut logits[..n * v];
        device.timed("head", || linear::forward_into(params, head, &chunk, Out::F32(logits_rv)));
        if let (Some(teacher), Some(buffer)) = (teacher, &mut teacher_logits) {
            let chunk = row_range(teacher.params.device(), &teacher.hidden, start, n);
            let logits = Out::F32(&mut buffer[..n * v]);
            device.timed("teacher head", || linear::forward_into(teacher.params, teacher.head, &chunk, logits));
        }
        let teacher_rv = teacher_logits.as_mut().map(|buffer| &mut buffer[..n * v]);
        let gradient = backward.is_some();
        let in_place = gradient && rounds_in_place(device, &chunk);
        let terms = device
            .timed("objective", || evaluate(device, objective, start, v, logits_rv, teacher_rv, (gradient, in_place)));
        for row in terms.chunks_exact(n_terms.max(1)) {
            for (sum, term) in sums.iter_mut().zip(row) {
                *sum += term;
            }
        }
        if let Some((grads, d_hidden)) = &mut backward {
            #[cfg(target_arch = "x86_64")]
            if in_place {
                let dw = grads.out(head);
                backward_in_place(params, head, (start, n, v), logits_rv, &chunk, dw, d_hidden);
                continue;
            }
            let gradient = gradient_tensor(device, params, logits_rv, n, v);
            let dw = grads.out(head);
            device.timed("head weight gradient", || linear::weight_gradient(device, &gradient, &chunk, dw));
            device.timed("head input gradient", || {
                write_hidden_gradient(params, head, &gradient, start, d_hidden);
            });
        }
    }
    sums
}

/// The backward products on tiles, from rows of gradients that were rounded where they lie.
#[cfg(target_arch = "x86_64")]
fn backward_in_place(
    params: &Params,
    head: ParamId,
    (start, n, v): (usize, usize, usize),
    gradient_rv: &mut [f32],
    chunk: &Tensor,
    dw: Out<'_>,
    d_hidden: &mut Tensor,
) {
    let device = params.device();
    let d = params.get(head).shape()[1];
    let rows = as_rounded(gradient_rv);
    device.timed("head weight gradient", || linear::weight_gradient_rows(device, (n, v), rows, 2 * v, chunk, dw));
    device.timed("head input gradient", || {
        let Some(out) = d_hidden.slice_mut::<half::bf16>() else {
            unreachable!("the hidden gradient is not shared before the pass")
        };
        let lhs = Lhs::Rows { data: rows, stride: 2 * v };
        matmul(device, (n, d, v), lhs, params.backward_rhs(head), Out::Bf16(&mut out[start * d..(start + n) * d]));
    });
}

/// Memory of f32 rows whose halves were rounded in place, as bf16: rows are twice as long, and half used.
#[cfg(target_arch = "x86_64")]
fn as_rounded(rows: &mut [f32]) -> &[half::bf16] {
    let (pointer, len) = (rows.as_ptr().cast::<half::bf16>(), 2 * rows.len());
    // SAFETY: the same memory, exclusively borrowed for as long; any bits are numbers of either type.
    unsafe { std::slice::from_raw_parts(pointer, len) }
}

/// Rounds a row to bf16, into the first half of its own memory.
#[cfg(target_arch = "x86_64")]
struct RoundInPlace<'a> {
    row: &'a mut [f32],
}
#[cfg(target_arch = "x86_64")]
impl crate::simd::SimdTask for RoundInPlace<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: crate::simd::Instructions>(self) {
        const LANES: usize = 32;
        // One pointer serves both views, so that neither ends the other's borrow.
        let (n, from) = (self.row.len(), self.row.as_mut_ptr());
        let to = from.cast::<half::bf16>();
        let mut at = 0;
        while at < n {
            let width = LANES.min(n - at);
            let mut rounded = [half::bf16::ZERO; LANES];
            // SAFETY: both ranges lie in the row. A group is read whole before it is written, and what is written
            // ends at byte `2 (at + width)`, which is not beyond the first byte of the next group, `4 (at + width)`.
            unsafe {
                for i in 0..width {
                    rounded[i] = crate::Element::from_f32(*from.add(at + i));
                }
                std::ptr::copy_nonoverlapping(rounded.as_ptr(), to.add(at), width);
            }
            at += width;
        }
    }
}

/// Whether gradients are rounded where their logits were: on tiles, whose products read rows at any distance.
fn rounds_in_place(device: &Device, hidden: &Tensor) -> bool {
    cfg!(target_arch = "x86_64") && device.isa() == crate::Isa::Amx && hidden.dtype() == DType::Bf16
}

/// Runs the objective on each row of a chunk; returns the terms of each row.
fn evaluate(
    device: &Device,
    objective: &dyn LogitObjective,
    start: usize,
    v: usize,
    logits_rv: &mut [f32],
    teacher_rv: Option<&mut [f32]>,
    (gradient, in_place): (bool, bool),
) -> Vec<f64> {
    let math = RowMath::new(device.isa());
    let n_terms = objective.n_terms();
    let round = |row: &mut [f32]| {
        #[cfg(target_arch = "x86_64")]
        if in_place {
            device.isa().run(RoundInPlace { row });
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (row, in_place);
    };
    let mut terms = vec![0.0; logits_rv.len() / v * n_terms];
    match teacher_rv {
        Some(teacher_rv) => {
            let rows: Vec<_> = teacher_rv.chunks_exact_mut(v).map(std::sync::Mutex::new).collect();
            device.for_each_block2((logits_rv, v), (&mut terms[..], n_terms), |r, logits, terms| {
                // Each row's lock is taken once, by the task of that row.
                let mut teacher = rows[r].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                objective.row(math, start + r, logits, Some(&mut teacher[..]), gradient, terms);
                round(logits);
            });
        }
        None => device.for_each_block2((logits_rv, v), (&mut terms[..], n_terms), |r, logits, terms| {
            objective.row(math, start + r, logits, None, gradient, terms);
            round(logits);
        }),
    }
    terms
}

/// Rows `start .. start + n` of a matrix.
fn row_range(device: &Device, x: &Tensor, start: usize, n: usize) -> Tensor {
    let (_, d) = x.dims2();
    by_dtype!(x.dtype(), T => {
        let mut rows = device.buffer::<T>(n * d);
        rows.copy_from_slice(&x.slice::<T>()[start * d..][..n * d]);
        Tensor::new([n, d], rows)
    })
}

fn gradient_tensor(device: &Device, params: &Params, logits_rv: &[f32], n: usize, v: usize) -> Tensor {
    match params.precision().activation() {
        DType::F32 => {
            let mut copy: Buffer<f32> = device.buffer(logits_rv.len());
            copy.copy_from_slice(logits_rv);
            Tensor::new([n, v], copy)
        }
        DType::Bf16 => Tensor::new([n, v], rounded(device, logits_rv)),
    }
}

fn write_hidden_gradient(params: &Params, head: ParamId, gradient: &Tensor, start: usize, d_hidden: &mut Tensor) {
    let (n, v) = gradient.dims2();
    let d = params.get(head).shape()[1];
    let range = start * d..(start + n) * d;
    let rhs = params.backward_rhs(head);
    let shared = "the hidden gradient is not shared before the pass";
    match gradient.dtype() {
        DType::F32 => {
            let Some(out) = d_hidden.slice_mut::<f32>() else { unreachable!("{shared}") };
            matmul(params.device(), (n, d, v), Lhs::F32(gradient.slice()), rhs, Out::F32(&mut out[range]));
        }
        DType::Bf16 => {
            let Some(out) = d_hidden.slice_mut::<half::bf16>() else { unreachable!("{shared}") };
            matmul(params.device(), (n, d, v), Lhs::Bf16(gradient.slice()), rhs, Out::Bf16(&mut out[range]));
        }
    }
}
