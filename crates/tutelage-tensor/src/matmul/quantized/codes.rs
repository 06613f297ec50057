//! A group of weights to codes.

use half::bf16;

use super::{Bits, GROUP};

/// A group that was quantised.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) codes: [u8; GROUP],
    pub(super) scale: bf16,
    pub(super) offset: bf16,
}

/// Shares of the range of a group that 4 bits are tried on: what is outside is cut off, what is inside is finer.
const SHARES: [f32; 6] = [1.0, 0.96, 0.92, 0.88, 0.84, 0.8];

/// Quantises up to 32 weights; beyond them are zeros.
pub(super) fn encode(weights: &[f32], bits: Bits) -> Group {
    let mut all = [0.0; GROUP];
    all[..weights.len()].copy_from_slice(weights);
    match bits {
        Bits::Eight => {
            let largest = weights.iter().fold(0.0f32, |most, w| most.max(w.abs()));
            let scale = not_below(largest / 127.0);
            let code = |w: f32| (divided(w, scale).round_ties_even().clamp(-127.0, 127.0) + 128.0) as u8;
            Group { codes: all.map(code), scale, offset: bf16::ZERO }
        }
        Bits::Four => {
            let (min, max) = weights.iter().fold((0.0f32, 0.0f32), |(min, max), &w| (min.min(w), max.max(w)));
            let tried = SHARES.map(|share| {
                let middle = (min + max) / 2.0;
                let half = share * (max - min) / 2.0;
                with_range(&all, weights.len(), middle - half, middle + half)
            });
            // The least squared error; of equal ones the widest range.
            let best = tried.into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
            best.map_or_else(|| with_range(&all, weights.len(), min, max).0, |(group, _)| group)
        }
    }
}

/// Four bits over a range, and the sum of squared errors.
fn with_range(all: &[f32; GROUP], n: usize, min: f32, max: f32) -> (Group, f64) {
    let offset = bf16::from_f32(min);
    let scale = bf16::from_f32((max - offset.to_f32()) / 15.0);
    let code = |w: f32| divided(w - offset.to_f32(), scale).round_ties_even().clamp(0.0, 15.0) as u8;
    let codes = all.map(code);
    let error = |(w, code): (&f32, &u8)| {
        let found = scale.to_f32().mul_add(f32::from(*code), offset.to_f32());
        f64::from(found - w).powi(2)
    };
    let sum = all.iter().zip(&codes).take(n).map(error).sum();
    (Group { codes, scale, offset }, sum)
}

/// The bf16 next to a positive number that is not below it, so that the largest code suffices.
fn not_below(x: f32) -> bf16 {
    let near = bf16::from_f32(x);
    if near.to_f32() < x { bf16::from_bits(near.to_bits() + 1) } else { near }
}

fn divided(x: f32, scale: bf16) -> f32 {
    if scale == bf16::ZERO { 0.0 } else { x / scale.to_f32() }
}
