//! Distances between two softmaxes that are sums over their entries.

use super::instructions::{Instructions, LANES, load, store};
use super::isa::SimdTask;
use super::softmax::Difference;
use super::{RowMath, exp, fold, multiply_add};

const BLOCK: usize = 1024;

/// One entry of two distributions `t` and `q`.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Of the first; may be zero.
    pub t: f32,
    /// Its logarithm, no less than [`Entry::LOWEST`].
    pub log_t: f32,
    /// Of the second; may be zero.
    pub q: f32,
    /// Its logarithm, however low.
    pub log_q: f32,
}

impl Entry {
    /// Logarithm of the smallest normal number, which stands for that of zero where it is the teacher's.
    pub const LOWEST: f32 = -87.336_54;
}

/// A formula summed over entries, compiled for each instruction set: `at` must be `#[inline(always)]`.
pub trait Pointwise: Copy {
    /// What the entry adds, and the derivative of that with respect to `log q`.
    fn at<I: Instructions>(self, entry: Entry) -> [f32; 2];
}

/// `ln x` in formulas of a [`Pointwise`], see `simd/ln.rs`: never less than [`Entry::LOWEST`].
#[inline(always)]
pub fn ln<I: Instructions>(x: f32) -> f32 {
    super::ln::ln::<I>(x)
}

/// A row of logits `x` that stands for `softmax(scale * x)`.
#[derive(Debug)]
pub struct Softmax<'a> {
    /// `x`.
    pub logits: &'a mut [f32],
    /// What multiplies them: one over a temperature.
    pub scale: f32,
    /// `log sum exp(scale * x)`.
    pub lse: f32,
}

/// What a gradient is multiplied by, and how much of `q` is added to it.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    /// Multiplies the gradient.
    pub distance: f32,
    /// Multiplies `q`.
    pub q: f32,
}

impl RowMath {
    /// The distance between `t` and `q`. With shares, `q`'s row is replaced by `shares.distance` times the gradient with
    /// respect to the logits times their scale, plus `shares.q` times `q`; without, anything is left there, as in `t`'s.
    ///
    /// With `r` the derivatives with respect to `log q`, the gradient is `r - q sum r`.
    pub fn pointwise(self, formula: impl Pointwise, q: Softmax<'_>, t: Softmax<'_>, shares: Option<Shares>) -> f64 {
        assert_eq!(q.logits.len(), t.logits.len(), "a pair of rows");
        let (scales, lse) = ([q.scale, t.scale], [q.lse, t.lse]);
        let pairs = q.logits.chunks_mut(BLOCK).zip(t.logits.chunks_mut(BLOCK));
        let sums = pairs.map(|(a, b)| self.isa.run(Terms { formula, a, b, scales, lse }));
        let [value, slope] = sums.fold([0.0; 2], |[value, slope], [v, s]| [value + f64::from(v), slope + f64::from(s)]);
        if let Some(shares) = shares {
            let weight_a = (f64::from(shares.q) - f64::from(shares.distance) * slope) as f32;
            self.isa.run(Difference { a: q.logits, b: t.logits, weight_a, weight_b: -shares.distance });
        }
        value
    }

    /// The sum over a few entries; their derivatives are pushed to `slopes`.
    pub fn entries(self, formula: impl Pointwise, entries: &[Entry], slopes: &mut Vec<f32>) -> f64 {
        self.isa.run(Few { formula, entries, slopes })
    }
}

struct Few<'a, P> {
    formula: P,
    entries: &'a [Entry],
    slopes: &'a mut Vec<f32>,
}

impl<P: Pointwise> SimdTask for Few<'_, P> {
    type Output = f64;
    #[inline(always)]
    fn run<I: Instructions>(self) -> f64 {
        let mut sum = 0.0;
        for &entry in self.entries {
            let [value, slope] = self.formula.at::<I>(entry);
            sum += f64::from(value);
            self.slopes.push(slope);
        }
        sum
    }
}

/// Writes `q` over `a` and derivatives over `b`; sums of values and derivatives.
struct Terms<'a, P> {
    formula: P,
    a: &'a mut [f32],
    b: &'a mut [f32],
    scales: [f32; 2],
    lse: [f32; 2],
}

impl<P: Pointwise> SimdTask for Terms<'_, P> {
    type Output = [f32; 2];
    #[inline(always)]
    fn run<I: Instructions>(self) -> [f32; 2] {
        let (mut values, mut slopes) = ([0.0; LANES], [0.0; LANES]);
        let ([scale_q, scale_t], [lse_q, lse_t], len) = (self.scales, self.lse, self.a.len());
        for at in (0..len).step_by(LANES) {
            let (mut a, mut b) = (load(self.a, at), load(self.b, at));
            let (mut v, mut s) = ([0.0; LANES], [0.0; LANES]);
            for i in 0..LANES {
                let (log_q, log_t) =
                    (multiply_add::<I>(scale_q, a[i], -lse_q), multiply_add::<I>(scale_t, b[i], -lse_t));
                let (q, t) = (exp::<I>(log_q), exp::<I>(log_t));
                let log_t = if log_t > Entry::LOWEST { log_t } else { Entry::LOWEST };
                [v[i], s[i]] = self.formula.at::<I>(Entry { t, log_t, q, log_q });
                (a[i], b[i]) = (q, s[i]);
            }
            for i in 0..LANES.min(len - at) {
                values[i] += v[i];
                slopes[i] += s[i];
            }
            store::<I, f32>(self.a, at, a);
            store::<I, f32>(self.b, at, b);
        }
        [fold(values), fold(slopes)]
    }
}
