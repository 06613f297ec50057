//! Primitives over one row of numbers, for objectives and kernels.
//!
//! Sums run in 16 lanes that are folded in a fixed order, so a result depends on the instruction set
//! but not on threads.

use super::instructions::{Instructions, LANES};
use super::isa::{Isa, SimdTask};
use super::ln::ln;
use super::multiply_add;

/// Row primitives compiled for one instruction set.
#[derive(Debug, Clone, Copy)]
pub struct RowMath {
    pub(super) isa: Isa,
}

impl RowMath {
    pub(crate) fn new(isa: Isa) -> Self {
        Self { isa }
    }

    /// `row *= factor`.
    pub fn scale(self, row: &mut [f32], factor: f32) {
        self.isa.run(Scale { row, factor });
    }

    /// `out += factor * row`.
    pub fn add_scaled(self, out: &mut [f32], row: &[f32], factor: f32) {
        self.isa.run(AddScaled { out, row, factor });
    }

    /// `row = ln row`, element by element; of what is no positive number, the logarithm of the smallest normal one.
    pub fn ln(self, row: &mut [f32]) {
        self.isa.run(Logarithms(row));
    }

    /// The largest element; negative infinity for an empty row.
    pub fn largest(self, row: &[f32]) -> f32 {
        self.isa.run(Largest(row))
    }

    /// Mean and standard deviation of the elements (their squares' mean, not divided by one less).
    pub fn deviation(self, row: &[f32]) -> (f32, f32) {
        let n = row.len().max(1) as f64;
        let mean = row.chunks(1024).map(|row| f64::from(self.isa.run(Squares { row, from: 0.0 }).0)).sum::<f64>() / n;
        let squares = row.chunks(1024).map(|row| f64::from(self.isa.run(Squares { row, from: mean as f32 }).1));
        (mean as f32, (squares.sum::<f64>() / n).sqrt() as f32)
    }

    /// `sum a * b`.
    pub fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        self.isa.run(Dot { a, b })
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

/// The largest element, negative infinity for an empty row; what is no number is passed over.
#[inline(always)]
pub(crate) fn largest(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = if x > *lane { x } else { *lane };
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = if lanes[i + width] > lanes[i] { lanes[i + width] } else { lanes[i] };
        }
        width /= 2;
    }
    lanes[0]
}

struct Logarithms<'a>(&'a mut [f32]);
impl SimdTask for Logarithms<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        for x in self.0 {
            *x = ln::<I>(*x);
        }
    }
}

struct Largest<'a>(&'a [f32]);
impl SimdTask for Largest<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<I: Instructions>(self) -> f32 {
        largest(self.0)
    }
}

/// Sums of differences from a number, and of their squares.
struct Squares<'a> {
    row: &'a [f32],
    from: f32,
}
impl SimdTask for Squares<'_> {
    type Output = (f32, f32);
    #[inline(always)]
    fn run<I: Instructions>(self) -> (f32, f32) {
        let (mut sums, mut squares) = ([0.0; LANES], [0.0; LANES]);
        let mut step = |i: usize, x: f32| {
            let x = x - self.from;
            sums[i] += x;
            squares[i] = multiply_add::<I>(x, x, squares[i]);
        };
        let (chunks, rest) = self.row.as_chunks::<LANES>();
        for chunk in chunks {
            for i in 0..LANES {
                step(i, chunk[i]);
            }
        }
        rest.iter().enumerate().for_each(|(i, &x)| step(i, x));
        (fold(sums), fold(squares))
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
