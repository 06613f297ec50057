//! Softmax over long rows.
//!
//! A row is divided into blocks that stay in the first-level cache: each is exponentiated against its own maximum, and
//! scaled when the whole row's sum is known. So a row is read from memory once, and written once more from cache, and
//! each element is exponentiated once.

use super::instructions::{Instructions, LANES, load, store};
use super::isa::SimdTask;
use super::{RowMath, exp, fold, largest, multiply_add};

const BLOCK: usize = 1024;

impl RowMath {
    /// `log sum exp(scale * row)` for a positive scale.
    pub fn log_sum_exp(self, row: &[f32], scale: f32) -> f32 {
        let sums = row.chunks(BLOCK).map(|row| self.isa.run(Sums { row, scale }));
        log_sum(&sums.collect::<Vec<_>>())
    }

    /// Replaces the row by `softmax(scale * row)`; returns `log sum exp(scale * row)`.
    pub fn softmax(self, row: &mut [f32], scale: f32) -> f32 {
        self.softmax_times(row, scale, 1.0)
    }

    /// Replaces the row by `factor * softmax(scale * row)`; returns `log sum exp(scale * row)`.
    pub fn softmax_times(self, row: &mut [f32], scale: f32, factor: f32) -> f32 {
        let sums: Vec<_> = row.chunks_mut(BLOCK).map(|row| self.isa.run(Exponentiate { row, scale })).collect();
        let lse = log_sum(&sums);
        for (block, sum) in row.chunks_mut(BLOCK).zip(&sums) {
            self.scale(block, factor * share(sum, lse));
        }
        lse
    }

    /// Replaces `a` by `wa softmax(ha a) - wb softmax(hb b)`, and leaves anything in `b`; for `gradient` false it may
    /// leave anything in `a`.
    pub fn softmax_difference(self, a: &mut [f32], b: &mut [f32], weights: SoftmaxPair, gradient: bool) -> PairSums {
        assert_eq!(a.len(), b.len(), "a pair of rows");
        let pairs = a.chunks_mut(BLOCK).zip(b.chunks_mut(BLOCK));
        let sums: Vec<PairBlock> = pairs.map(|(a, b)| self.isa.run(ExponentiatePair { a, b, weights })).collect();
        let lse = |part: fn(&PairBlock) -> BlockSum| log_sum(&sums.iter().map(part).collect::<Vec<_>>());
        let (lse_a, lse_b) = (lse(|block| block.a), lse(|block| block.b));
        let weighted = |part: fn(&PairBlock) -> f32| {
            sums.iter().map(|block| f64::from(share(&block.b, lse_b)) * f64::from(part(block))).sum::<f64>() as f32
        };
        let (b_dot_b, b_dot_a) = (weighted(|block| block.b_dot_b), weighted(|block| block.b_dot_a));
        if gradient {
            for ((a, b), block) in a.chunks_mut(BLOCK).zip(b.chunks(BLOCK)).zip(&sums) {
                let weight_a = weights.weight_a * share(&block.a, lse_a);
                self.isa.run(Difference { a, b, weight_a, weight_b: weights.weight_b * share(&block.b, lse_b) });
            }
        }
        PairSums { lse_a, lse_b, b_dot_b, b_dot_a }
    }
}

impl RowMath {
    /// Sums of a pair of rows that stay as they are, `b` not scaled; `lse_a` is that of `a`.
    pub fn pair_sums(self, a: &[f32], lse_a: f32, b: &[f32]) -> PairSums {
        assert_eq!(a.len(), b.len(), "a pair of rows");
        let pairs = a.chunks(BLOCK).zip(b.chunks(BLOCK));
        let sums: Vec<(BlockSum, [f32; 2])> = pairs.map(|(a, b)| self.isa.run(Moments { a, b })).collect();
        let lse_b = log_sum(&sums.iter().map(|block| block.0).collect::<Vec<_>>());
        let dot = |which: usize| {
            sums.iter().map(|(block, dots)| f64::from(share(block, lse_b)) * f64::from(dots[which])).sum::<f64>() as f32
        };
        PairSums { lse_a, lse_b, b_dot_b: dot(0), b_dot_a: dot(1) }
    }
}

/// Exponentials of `b` against its largest: their sum, and their products with `b` and `a`.
struct Moments<'a> {
    a: &'a [f32],
    b: &'a [f32],
}
impl SimdTask for Moments<'_> {
    type Output = (BlockSum, [f32; 2]);
    #[inline(always)]
    fn run<I: Instructions>(self) -> (BlockSum, [f32; 2]) {
        let max = largest(self.b);
        let (mut sum, mut dots) = ([0.0; LANES], [[0.0; LANES]; 2]);
        let mut step = |i: usize, a: f32, b: f32| {
            let e = exp::<I>(b - max);
            sum[i] += e;
            dots[0][i] = multiply_add::<I>(e, b, dots[0][i]);
            dots[1][i] = multiply_add::<I>(e, a, dots[1][i]);
        };
        let (chunks_a, rest_a) = self.a.as_chunks::<LANES>();
        let (chunks_b, rest_b) = self.b.as_chunks::<LANES>();
        for (a, b) in chunks_a.iter().zip(chunks_b) {
            for i in 0..LANES {
                step(i, a[i], b[i]);
            }
        }
        for (i, (&a, &b)) in rest_a.iter().zip(rest_b).enumerate() {
            step(i, a, b);
        }
        (BlockSum { max, sum: fold(sum) }, dots.map(fold))
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

impl PairSums {
    /// Where there is no second row.
    pub fn of_one(lse_a: f32) -> Self {
        Self { lse_a, lse_b: 0.0, b_dot_b: 0.0, b_dot_a: 0.0 }
    }

    /// `(sum t log q, sum t log t)` for `t = softmax(scale_b b)` and `q = softmax(a)`.
    pub fn of_teacher(self, scale_b: f32) -> (f64, f64) {
        let cross = f64::from(self.b_dot_a) - f64::from(self.lse_a);
        (cross, f64::from(scale_b * self.b_dot_b) - f64::from(self.lse_b))
    }
}

/// A block's largest exponent, and the sum of exponentials against it.
#[derive(Clone, Copy)]
struct BlockSum {
    max: f32,
    sum: f32,
}

/// Logarithm of the sum over all blocks.
fn log_sum(blocks: &[BlockSum]) -> f32 {
    let max = blocks.iter().fold(f32::NEG_INFINITY, |max, block| if block.max > max { block.max } else { max });
    let sum: f64 = blocks.iter().map(|block| f64::from(block.sum) * f64::from(block.max - max).exp()).sum();
    (f64::from(max) + sum.ln()) as f32
}

/// What a block's exponentials are multiplied by to become probabilities.
fn share(block: &BlockSum, lse: f32) -> f32 {
    (f64::from(block.max) - f64::from(lse)).exp() as f32
}

struct Sums<'a> {
    row: &'a [f32],
    scale: f32,
}
impl SimdTask for Sums<'_> {
    type Output = BlockSum;
    #[inline(always)]
    fn run<I: Instructions>(self) -> BlockSum {
        let max = self.scale * largest(self.row);
        let mut lanes = [0.0; LANES];
        let (chunks, rest) = self.row.as_chunks::<LANES>();
        for chunk in chunks {
            for i in 0..LANES {
                lanes[i] += exp::<I>(multiply_add::<I>(self.scale, chunk[i], -max));
            }
        }
        for (i, &x) in rest.iter().enumerate() {
            lanes[i] += exp::<I>(multiply_add::<I>(self.scale, x, -max));
        }
        BlockSum { max, sum: fold(lanes) }
    }
}

struct Exponentiate<'a> {
    row: &'a mut [f32],
    scale: f32,
}
impl SimdTask for Exponentiate<'_> {
    type Output = BlockSum;
    #[inline(always)]
    fn run<I: Instructions>(self) -> BlockSum {
        let max = self.scale * largest(self.row);
        let mut lanes = [0.0; LANES];
        let (chunks, rest) = self.row.as_chunks_mut::<LANES>();
        for chunk in chunks {
            for i in 0..LANES {
                chunk[i] = exp::<I>(multiply_add::<I>(self.scale, chunk[i], -max));
                lanes[i] += chunk[i];
            }
        }
        for (i, x) in rest.iter_mut().enumerate() {
            *x = exp::<I>(multiply_add::<I>(self.scale, *x, -max));
            lanes[i] += *x;
        }
        BlockSum { max, sum: fold(lanes) }
    }
}

/// Sums of a block of two rows, all against their own maxima.
struct PairBlock {
    a: BlockSum,
    b: BlockSum,
    b_dot_b: f32,
    b_dot_a: f32,
}

struct ExponentiatePair<'a> {
    a: &'a mut [f32],
    b: &'a mut [f32],
    weights: SoftmaxPair,
}
impl SimdTask for ExponentiatePair<'_> {
    type Output = PairBlock;
    #[inline(always)]
    fn run<I: Instructions>(self) -> PairBlock {
        let w = self.weights;
        let (max_a, max_b) = (w.scale_a * largest(self.a), w.scale_b * largest(self.b));
        let (mut sum_a, mut sum_b) = ([0.0; LANES], [0.0; LANES]);
        let (mut b_dot_b, mut b_dot_a) = ([0.0; LANES], [0.0; LANES]);
        let mut step = |i: usize, a: &mut f32, b: &mut f32| {
            let e_b = exp::<I>(multiply_add::<I>(w.scale_b, *b, -max_b));
            b_dot_b[i] = multiply_add::<I>(e_b, *b, b_dot_b[i]);
            b_dot_a[i] = multiply_add::<I>(e_b, *a, b_dot_a[i]);
            sum_b[i] += e_b;
            *b = e_b;
            *a = exp::<I>(multiply_add::<I>(w.scale_a, *a, -max_a));
            sum_a[i] += *a;
        };
        let (chunks_a, rest_a) = self.a.as_chunks_mut::<LANES>();
        let (chunks_b, rest_b) = self.b.as_chunks_mut::<LANES>();
        for (a, b) in chunks_a.iter_mut().zip(chunks_b) {
            for i in 0..LANES {
                step(i, &mut a[i], &mut b[i]);
            }
        }
        for (i, (a, b)) in rest_a.iter_mut().zip(rest_b).enumerate() {
            step(i, a, b);
        }
        PairBlock {
            a: BlockSum { max: max_a, sum: fold(sum_a) },
            b: BlockSum { max: max_b, sum: fold(sum_b) },
            b_dot_b: fold(b_dot_b),
            b_dot_a: fold(b_dot_a),
        }
    }
}

/// `a = weight_a a - weight_b b`.
pub(super) struct Difference<'a> {
    pub(super) a: &'a mut [f32],
    pub(super) b: &'a [f32],
    pub(super) weight_a: f32,
    pub(super) weight_b: f32,
}
impl SimdTask for Difference<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        for at in (0..self.a.len()).step_by(LANES) {
            let (mut a, b) = (load(self.a, at), load(self.b, at));
            for i in 0..LANES {
                a[i] = multiply_add::<I>(self.weight_a, a[i], -(self.weight_b * b[i]));
            }
            store::<I, f32>(self.a, at, a);
        }
    }
}
