//! Primitives over one row of numbers, for objectives and kernels.
//!
//! Sums run in 16 lanes that are folded in a fixed order, so a result depends on the instruction set
//! but not on threads.

use super::instructions::{Instructions, LANES};
use super::isa::{Isa, SimdTask};
use super::{exp, multiply_add};

/// Row primitives compiled for one instruction set.
#[derive(Debug, Clone, Copy)]
pub struct RowMath {
    isa: Isa,
}

impl RowMath {
    pub(crate) fn new(isa: Isa) -> Self {
        Self { isa }
    }

    /// The largest element (negative infinity for an empty row).
    pub fn max(self, row: &[f32]) -> f32 {
        self.isa.run(Max(row))
    }

    /// `log sum exp(scale * row)`.
    pub fn log_sum_exp(self, row: &[f32], scale: f32) -> f32 {
        let shift = scale * self.max(row);
        shift + self.isa.run(SumExp { row, scale, shift }).ln()
    }

    /// Replaces the row by `softmax(scale * row)`; returns `log sum exp(scale * row)`.
    pub fn softmax(self, row: &mut [f32], scale: f32) -> f32 {
        let shift = scale * self.max(row);
        let sum = self.isa.run(ExpInPlace { row, scale, shift });
        self.isa.run(Scale { row, factor: 1.0 / sum });
        shift + sum.ln()
    }

    /// Replaces `a` by `wa softmax(ha a) - wb softmax(hb b)`; for `gradient` false leaves it. One pass over both
    /// rows after each one's log-sum-exp, so that rows of a large vocabulary are read few times.
    pub fn softmax_difference(self, a: &mut [f32], b: &[f32], weights: SoftmaxPair, gradient: bool) -> PairSums {
        let (lse_a, lse_b) = (self.log_sum_exp(a, weights.scale_a), self.log_sum_exp(b, weights.scale_b));
        let [b_dot_b, b_dot_a] = self.isa.run(SoftmaxDifference { a, b, weights, lse_a, lse_b, gradient });
        PairSums { lse_a, lse_b, b_dot_b, b_dot_a }
    }

    /// `row *= factor`.
    pub fn scale(self, row: &mut [f32], factor: f32) {
        self.isa.run(Scale { row, factor });
    }

    /// `out += factor * row`.
    pub fn add_scaled(self, out: &mut [f32], row: &[f32], factor: f32) {
        self.isa.run(AddScaled { out, row, factor });
    }

    /// `sum a * b`.
    pub fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        self.isa.run(Dot { a, b })
    }
}

/// What is subtracted from what, see [`RowMath::softmax_difference`].
#[derive(Debug, Clone, Copy)]
pub struct SoftmaxPair {
    /// Multiplies the first row before its softmax.
    pub scale_a: f32,
    /// Multiplies the second row before its softmax.
    pub scale_b: f32,
    /// Weight of the first softmax.
    pub weight_a: f32,
    /// Weight of the second softmax.
    pub weight_b: f32,
}

/// Sums over a pair of rows.
#[derive(Debug, Clone, Copy)]
pub struct PairSums {
    /// `log sum exp(scale_a a)`.
    pub lse_a: f32,
    /// `log sum exp(scale_b b)`.
    pub lse_b: f32,
    /// `sum softmax(scale_b b) b`.
    pub b_dot_b: f32,
    /// `sum softmax(scale_b b) a`.
    pub b_dot_a: f32,
}

struct SoftmaxDifference<'a> {
    a: &'a mut [f32],
    b: &'a [f32],
    weights: SoftmaxPair,
    lse_a: f32,
    lse_b: f32,
    gradient: bool,
}
impl SimdTask for SoftmaxDifference<'_> {
    type Output = [f32; 2];
    #[inline(always)]
    fn run<I: Instructions>(self) -> [f32; 2] {
        let w = self.weights;
        let n = self.a.len().min(self.b.len());
        let (chunks_a, rest_a) = self.a[..n].as_chunks_mut::<LANES>();
        let (chunks_b, rest_b) = self.b[..n].as_chunks::<LANES>();
        let (mut b_dot_b, mut b_dot_a) = ([0.0; LANES], [0.0; LANES]);
        let mut step = |i: usize, a: &mut f32, b: f32| {
            let q_b = exp::<I>(multiply_add::<I>(w.scale_b, b, -self.lse_b));
            b_dot_b[i] = multiply_add::<I>(q_b, b, b_dot_b[i]);
            b_dot_a[i] = multiply_add::<I>(q_b, *a, b_dot_a[i]);
            if self.gradient {
                let q_a = exp::<I>(multiply_add::<I>(w.scale_a, *a, -self.lse_a));
                *a = w.weight_a * q_a - w.weight_b * q_b;
            }
        };
        for (a, b) in chunks_a.iter_mut().zip(chunks_b) {
            for i in 0..LANES {
                step(i, &mut a[i], b[i]);
            }
        }
        for (i, (a, &b)) in rest_a.iter_mut().zip(rest_b).enumerate() {
            step(i, a, b);
        }
        [fold(b_dot_b), fold(b_dot_a)]
    }
}

/// The sum of the lanes, in one fixed order.
#[inline(always)]
pub(crate) fn fold(lanes: [f32; LANES]) -> f32 {
    let mut lanes = lanes;
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

struct Max<'a>(&'a [f32]);
impl SimdTask for Max<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<I: Instructions>(self) -> f32 {
        let mut lanes = [f32::NEG_INFINITY; LANES];
        let (chunks, rest) = self.0.as_chunks::<LANES>();
        for chunk in chunks {
            for i in 0..LANES {
                lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
            }
        }
        let mut max = rest.iter().fold(f32::NEG_INFINITY, |m, &x| if x > m { x } else { m });
        for lane in lanes {
            max = if lane > max { lane } else { max };
        }
        max
    }
}

struct SumExp<'a> {
    row: &'a [f32],
    scale: f32,
    shift: f32,
}
impl SimdTask for SumExp<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<I: Instructions>(self) -> f32 {
        let mut lanes = [0.0; LANES];
        let (chunks, rest) = self.row.as_chunks::<LANES>();
        for chunk in chunks {
            for i in 0..LANES {
                lanes[i] += exp::<I>(multiply_add::<I>(self.scale, chunk[i], -self.shift));
            }
        }
        for (i, &x) in rest.iter().enumerate() {
            lanes[i] += exp::<I>(multiply_add::<I>(self.scale, x, -self.shift));
        }
        fold(lanes)
    }
}

struct ExpInPlace<'a> {
    row: &'a mut [f32],
    scale: f32,
    shift: f32,
}
impl SimdTask for ExpInPlace<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<I: Instructions>(self) -> f32 {
        let mut lanes = [0.0; LANES];
        let (chunks, rest) = self.row.as_chunks_mut::<LANES>();
        for chunk in chunks {
            for i in 0..LANES {
                chunk[i] = exp::<I>(multiply_add::<I>(self.scale, chunk[i], -self.shift));
                lanes[i] += chunk[i];
            }
        }
        for (i, x) in rest.iter_mut().enumerate() {
            *x = exp::<I>(multiply_add::<I>(self.scale, *x, -self.shift));
            lanes[i] += *x;
        }
        fold(lanes)
    }
}

struct Scale<'a> {
    row: &'a mut [f32],
    factor: f32,
}
impl SimdTask for Scale<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        for x in self.row {
            *x *= self.factor;
        }
    }
}

struct AddScaled<'a> {
    out: &'a mut [f32],
    row: &'a [f32],
    factor: f32,
}
impl SimdTask for AddScaled<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        for (out, &x) in self.out.iter_mut().zip(self.row) {
            *out = multiply_add::<I>(self.factor, x, *out);
        }
    }
}

struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
}
impl SimdTask for Dot<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<I: Instructions>(self) -> f32 {
        let n = self.a.len().min(self.b.len());
        let (chunks_a, rest_a) = self.a[..n].as_chunks::<LANES>();
        let (chunks_b, rest_b) = self.b[..n].as_chunks::<LANES>();
        let mut lanes = [0.0; LANES];
        for (a, b) in chunks_a.iter().zip(chunks_b) {
            for i in 0..LANES {
                lanes[i] = multiply_add::<I>(a[i], b[i], lanes[i]);
            }
        }
        for (i, (&a, &b)) in rest_a.iter().zip(rest_b).enumerate() {
            lanes[i] = multiply_add::<I>(a, b, lanes[i]);
        }
        fold(lanes)
    }
}
