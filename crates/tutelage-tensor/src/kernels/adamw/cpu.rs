//! One fused pass over weights, gradients and moments.

use crate::device::DisjointOut;
use crate::matmul::{PackedRhs, pack_part};
use crate::simd::{Instructions, SimdTask, multiply_add};
use crate::{Device, Grads, ParamId, Params, RowGrads};

/// Scalars of one step.
#[derive(Debug, Clone, Copy)]
pub struct AdamWStep {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay; zero for vectors.
    pub weight_decay: f32,
    /// Step number, from one.
    pub t: u64,
    /// The gradient is multiplied by this first (clipping).
    pub grad_scale: f32,
}

const BLOCK: usize = 1 << 13;

/// Updates a parameter and both its moments. Where its matrix is packed, the copies are written in the same pass.
pub fn adamw(params: &mut Params, id: ParamId, step: AdamWStep, grad: &Grads, m: &mut [f32], v: &mut [f32]) {
    let device = params.device().clone();
    let shape = params.get(id).shape().to_vec();
    let (weights, copies) = params.for_update(id);
    let n = weights.len();
    assert_eq!((m.len(), v.len()), (n, n), "sizes of moments");
    let correction = |beta: f32| (1.0 - f64::from(beta).powf(step.t as f64)) as f32;
    let scalars = Scalars { step, c1: correction(step.beta1), c2: correction(step.beta2) };
    let state = State { w: DisjointOut::new(weights), m: DisjointOut::new(m), v: DisjointOut::new(v) };
    device.timed("adamw", || match (grad.rows(id), copies, &shape[..]) {
        (Some(rows), _, &[n_rows, d]) => table(&device, &scalars, &state, rows, (n_rows, d)),
        (None, Some(copies), &[rows, columns]) => {
            matrix(&device, &scalars, (&state, grad.get(id)), copies, (rows, columns));
        }
        _ => device.for_each(n.div_ceil(BLOCK), |index| {
            let start = index * BLOCK;
            // SAFETY: each task has its own block.
            unsafe { state.update(&device, &scalars, start, &grad.get(id)[start..n.min(start + BLOCK)]) };
        }),
    });
}

/// Rows of a task, and columns that are updated and then packed while they are at hand.
const ROWS: usize = 32;
const COLUMNS: usize = 512;

fn matrix(
    device: &Device,
    scalars: &Scalars,
    (state, grad): (&State<'_>, &[f32]),
    [forward, backward]: [&mut PackedRhs; 2],
    (rows, columns): (usize, usize),
) {
    let (forward, backward) = (forward.out(), backward.out());
    let fast = device.isa().has_bf16_products();
    device.for_each(rows.div_ceil(ROWS), |index| {
        let row = index * ROWS;
        let height = ROWS.min(rows - row);
        for column in (0..columns).step_by(COLUMNS) {
            let width = COLUMNS.min(columns - column);
            // SAFETY: each task has its own rows, of the weights and so of the copies.
            unsafe {
                for r in row..row + height {
                    let start = r * columns + column;
                    state.update(device, scalars, start, &grad[start..][..width]);
                }
                let part = state.w.slice(row * columns + column, (height - 1) * columns + width);
                let at = (row, column);
                pack_part(fast, [&forward, &backward], (part, columns), at, (height, width));
            }
        }
    });
}

struct Scalars {
    step: AdamWStep,
    c1: f32,
    c2: f32,
}

struct State<'a> {
    w: DisjointOut<'a, f32>,
    m: DisjointOut<'a, f32>,
    v: DisjointOut<'a, f32>,
}

impl State<'_> {
    /// # Safety
    /// No other task may have elements `start ..` of the length of `grad`.
    unsafe fn update(&self, device: &Device, scalars: &Scalars, start: usize, grad: &[f32]) {
        let len = grad.len();
        // SAFETY: the caller's promise.
        let (w, m, v) = unsafe { (self.w.slice(start, len), self.m.slice(start, len), self.v.slice(start, len)) };
        let &Scalars { step, c1, c2 } = scalars;
        device.isa().run(Update { step, c1, c2, w, grad, m, v });
    }
}

/// A table: most rows have no gradient, but all have moments.
fn table(device: &Device, scalars: &Scalars, state: &State<'_>, rows: &RowGrads, (n_rows, d): (usize, usize)) {
    let zeros = device.zeros::<f32>(d);
    let rows_a_task = BLOCK.div_ceil(d.max(1));
    device.for_each(n_rows.div_ceil(rows_a_task), |index| {
        for row in index * rows_a_task..n_rows.min((index + 1) * rows_a_task) {
            let grad = rows.row(row as u32).unwrap_or(&zeros);
            // SAFETY: each task has its own rows.
            unsafe { state.update(device, scalars, row * d, grad) };
        }
    });
}

struct Update<'a> {
    step: AdamWStep,
    c1: f32,
    c2: f32,
    w: &'a mut [f32],
    grad: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
}
impl SimdTask for Update<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        let s = self.step;
        let state = self.w.iter_mut().zip(self.m.iter_mut()).zip(self.v.iter_mut());
        for (((w, m), v), &grad) in state.zip(self.grad) {
            let grad = grad * s.grad_scale;
            *m = multiply_add::<I>(s.beta1, *m, (1.0 - s.beta1) * grad);
            *v = multiply_add::<I>(s.beta2, *v, (1.0 - s.beta2) * grad * grad);
            let update = (*m / self.c1) / ((*v / self.c2).sqrt() + s.eps);
            *w -= s.lr * (update + s.weight_decay * *w);
        }
    }
}

/// Sum of squares of a parameter's gradient, in f64.
pub fn grad_squares(device: &Device, grads: &Grads, id: ParamId) -> f64 {
    sum_of_squares(device, grads.rows(id).map_or_else(|| grads.get(id), RowGrads::values))
}

/// Sum of squares in f64, in blocks of fixed size.
pub fn sum_of_squares(device: &Device, values: &[f32]) -> f64 {
    device.timed("gradient norm", || squares(device, values))
}

fn squares(device: &Device, values: &[f32]) -> f64 {
    let mut partial = vec![0.0f64; values.len().div_ceil(BLOCK)];
    device.for_each_block(&mut partial, 1, |index, out| {
        let start = index * BLOCK;
        let block = &values[start..values.len().min(start + BLOCK)];
        out[0] = device.isa().run(Squares(block));
    });
    partial.iter().sum()
}

struct Squares<'a>(&'a [f32]);
impl SimdTask for Squares<'_> {
    type Output = f64;
    #[inline(always)]
    fn run<I: Instructions>(self) -> f64 {
        const LANES: usize = 16;
        let mut lanes = [0.0f64; LANES];
        let (chunks, rest) = self.0.as_chunks::<LANES>();
        for chunk in chunks {
            for i in 0..LANES {
                lanes[i] += f64::from(chunk[i]) * f64::from(chunk[i]);
            }
        }
        let rest: f64 = rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        lanes.into_iter().sum::<f64>() + rest
    }
}
