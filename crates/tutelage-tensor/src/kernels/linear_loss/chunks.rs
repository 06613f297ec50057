//! The chunk loop.

use super::super::by_dtype;
use super::super::linear::cpu as linear;
use super::{LogitObjective, TeacherLogits};
use crate::matmul::{Lhs, Out, matmul, rounded};
use crate::simd::RowMath;
use crate::{Buffer, DType, Device, Grads, ParamId, Params, Tensor};

/// Bytes of one chunk of f32 logits that are aimed at.
const CHUNK_BYTES: usize = 64 << 20;

/// Rows of a chunk; a function of the vocabulary alone, so that results do not depend on anything else.
fn chunk_rows(vocabulary: usize) -> usize {
    (CHUNK_BYTES / (4 * vocabulary)).clamp(96, 512) / 32 * 32
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
        let terms =
            device.timed("objective", || evaluate(device, objective, start, v, logits_rv, teacher_rv, gradient));
        for row in terms.chunks_exact(n_terms.max(1)) {
            for (sum, term) in sums.iter_mut().zip(row) {
                *sum += term;
            }
        }
        if let Some((grads, d_hidden)) = &mut backward {
            let gradient = gradient_tensor(device, params, logits_rv, n, v);
            let dw = grads.get_mut(head);
            device.timed("head weight gradient", || linear::weight_gradient(device, &gradient, &chunk, dw));
            device.timed("head input gradient", || {
                write_hidden_gradient(params, head, &gradient, start, d_hidden);
            });
        }
    }
    sums
}

/// Runs the objective on each row of a chunk; returns the terms of each row.
fn evaluate(
    device: &Device,
    objective: &dyn LogitObjective,
    start: usize,
    v: usize,
    logits_rv: &mut [f32],
    teacher_rv: Option<&mut [f32]>,
    gradient: bool,
) -> Vec<f64> {
    let math = RowMath::new(device.isa());
    let n_terms = objective.n_terms();
    let mut terms = vec![0.0; logits_rv.len() / v * n_terms];
    match teacher_rv {
        Some(teacher_rv) => {
            let rows: Vec<_> = teacher_rv.chunks_exact_mut(v).map(std::sync::Mutex::new).collect();
            device.for_each_block2((logits_rv, v), (&mut terms[..], n_terms), |r, logits, terms| {
                // Each row's lock is taken once, by the task of that row.
                let mut teacher = rows[r].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                objective.row(math, start + r, logits, Some(&mut teacher[..]), gradient, terms);
            });
        }
        None => device.for_each_block2((logits_rv, v), (&mut terms[..], n_terms), |r, logits, terms| {
            objective.row(math, start + r, logits, None, gradient, terms);
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
