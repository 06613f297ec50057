//! Activations in 8 bits, in groups of 32, each with a scale: what codes of weights are multiplied with.

use super::GROUP;
use crate::simd::{Instructions, LANES, SimdTask, load};
use crate::{Buffer, Device, Element};

/// Rows of activations `[m, k]`, padded with zeros to whole groups.
pub(super) struct Activations {
    /// `x = scale * code`.
    pub(super) codes: Vec<i8>,
    /// By row and group.
    pub(super) scales: Buffer<f32>,
    /// The sum of a group's codes, by row and group.
    pub(super) sums: Vec<i32>,
    pub(super) groups: usize,
}

impl Activations {
    pub(super) fn new<T: Element>(device: &Device, k: usize, rows: &[T]) -> Self {
        let groups = k.div_ceil(GROUP);
        let m = rows.len() / k.max(1);
        let mut own = Self {
            codes: vec![0; m * groups * GROUP],
            scales: device.zeros(m * groups),
            sums: vec![0; m * groups],
            groups,
        };
        let all = rows.chunks_exact(k.max(1)).zip(own.codes.chunks_exact_mut((groups * GROUP).max(1)));
        for (row, (from, codes)) in all.enumerate() {
            let groups = row * groups..(row + 1) * groups;
            let (scales, sums) = (&mut own.scales[groups.clone()], &mut own.sums[groups]);
            device.isa().run(Quantize { from, codes, scales, sums });
        }
        own
    }
}

/// A row.
struct Quantize<'a, T> {
    from: &'a [T],
    codes: &'a mut [i8],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
}

impl<T: Element> SimdTask for Quantize<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        let groups = self.codes.chunks_exact_mut(GROUP).zip(self.scales).zip(self.sums);
        for (group, ((codes, scale), sum)) in groups.enumerate() {
            let mut x = [[0.0f32; LANES]; 2];
            let mut most = [0.0f32; LANES];
            for (half, x) in x.iter_mut().enumerate() {
                *x = load(self.from, group * GROUP + half * LANES);
                for i in 0..LANES {
                    most[i] = most[i].max(x[i].abs());
                }
            }
            let largest = most.iter().fold(0.0f32, |a, &b| a.max(b));
            *scale = largest / 127.0;
            let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
            let mut total = 0;
            for (x, codes) in x.iter().zip(codes.chunks_exact_mut(LANES)) {
                for i in 0..LANES {
                    let code = (x[i] * inverse).round_ties_even() as i32;
                    total += code;
                    codes[i] = code as i8;
                }
            }
            *sum = total;
        }
    }
}
