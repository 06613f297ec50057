//! One fused pass over weights, gradients and moments.

use crate::Device;
use crate::simd::{Instructions, SimdTask, multiply_add};

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

/// Updates `weights` and both moments.
pub fn adamw(device: &Device, step: AdamWStep, weights: &mut [f32], grad: &[f32], m: &mut [f32], v: &mut [f32]) {
    device.timed("adamw", || update(device, step, weights, grad, m, v));
}

fn update(device: &Device, step: AdamWStep, weights: &mut [f32], grad: &[f32], m: &mut [f32], v: &mut [f32]) {
    let correction = |beta: f32| (1.0 - f64::from(beta).powf(step.t as f64)) as f32;
    let (c1, c2) = (correction(step.beta1), correction(step.beta2));
    let moments: Vec<_> = m.chunks_mut(BLOCK).zip(v.chunks_mut(BLOCK)).map(std::sync::Mutex::new).collect();
    device.for_each_block(weights, BLOCK, |index, w| {
        // Each lock is taken once, by the task of its block.
        let mut guard = moments[index].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (m, v) = &mut *guard;
        device.isa().run(Update { step, c1, c2, w, grad: &grad[index * BLOCK..], m, v });
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
