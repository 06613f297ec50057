//! Comparisons.

/// Panics unless each `|found - expected| <= absolute + relative * |expected|`.
#[track_caller]
pub fn assert_close(what: &str, found: &[f64], expected: &[f64], absolute: f64, relative: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    let mut worst = (0.0, 0);
    for (i, (&x, &y)) in found.iter().zip(expected).enumerate() {
        let excess = (x - y).abs() / (absolute + relative * y.abs());
        if excess.is_nan() || excess > worst.0 {
            worst = (if excess.is_nan() { f64::INFINITY } else { excess }, i);
        }
    }
    let (excess, i) = worst;
    assert!(excess <= 1.0, "{what}: at {i} found {}, expected {} ({excess:.2} tolerances)", found[i], expected[i]);
}

/// Central differences of `f` at `x`.
pub fn finite_difference(x: &[f64], mut f: impl FnMut(&[f64]) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut x = x.to_vec();
    (0..x.len())
        .map(|i| {
            let at = x[i];
            x[i] = at + STEP;
            let above = f(&x);
            x[i] = at - STEP;
            let below = f(&x);
            x[i] = at;
            (above - below) / (2.0 * STEP)
        })
        .collect()
}

/// `n` numbers in [-scale, scale] that look random, the same on every machine.
pub fn wave(n: usize, seed: u64, scale: f64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0) * scale
        })
        .collect()
}
