//! Mean-square error between probabilities: `sum_i (q_i - t_i)^2` (2410.16215, section 2, "MSE").
//!
//! Departures: the paper does not say whether of probabilities or logits (truncated logits have no value
//! outside the kept set, probabilities have zero), nor whether it divides by the vocabulary (here not).

use super::TargetRow;

/// The sum over the vocabulary.
pub fn value(target: TargetRow<'_>, q_v: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    match target {
        TargetRow::Dense(t_v) => q_v.iter().zip(t_v).map(|(q, t)| square(q - t)).sum(),
        TargetRow::Sparse { ids, t_k } => {
            let all: f64 = q_v.iter().map(|&q| square(q)).sum();
            let kept = ids.iter().zip(t_k).map(|(&id, t)| {
                let q = q_v[id as usize];
                square(q - t) - square(q)
            });
            all + kept.sum::<f64>()
        }
    }
}

/// `q <- weight * 2 q (e - q . e)` with `e = q - t`.
pub fn gradient_in_place(target: TargetRow<'_>, q_v: &mut [f32], weight: f32) {
    let mut e_v = q_v.to_vec();
    target.subtract_from(&mut e_v, 1.0);
    let mean: f64 = q_v.iter().zip(&e_v).map(|(q, e)| f64::from(q * e)).sum();
    for (q, e) in q_v.iter_mut().zip(&e_v) {
        *q *= 2.0 * weight * (e - mean as f32);
    }
}
