//! Probabilities in steps that matter equally.
//!
//! An error `e` of a log-probability costs about `p e^2 / 2` in KL divergence, so that steps of `sqrt p` are worth the same
//! everywhere. Steps are `2^-10` of `sqrt p`; where `p` is below `2^-10` they are 1/16 of its logarithm instead, so that no
//! log-probability is wrong by more than 1/32 and temperatures above 1 still find what they need. Above one half the steps are
//! those of `1 - p`: a teacher that is sure says how sure.

/// `sqrt p` in steps of this.
const ROOT_STEPS: f64 = 1024.0;
/// `ln p` in steps of this.
const LOG_STEPS: f64 = 16.0;
/// Where the two meet, both having the same slope there.
const BORDER: f64 = 1.0 / 1024.0;
/// No probability is lower.
const LOWEST_LN: f64 = -24.0;

/// How many levels there are.
pub(super) fn n_levels() -> usize {
    level_of(1.0 - LOWEST_LN.exp()) + 1
}

/// Of a probability up to one half, zero at the border.
fn height(p: f64) -> f64 {
    match p < BORDER {
        true => LOG_STEPS * (p.ln().max(LOWEST_LN) - BORDER.ln()),
        false => ROOT_STEPS * (p.sqrt() - BORDER.sqrt()),
    }
}

fn lowest() -> f64 {
    LOG_STEPS * (LOWEST_LN - BORDER.ln())
}

fn level_of(p: f64) -> usize {
    let middle = height(0.5);
    let height = if p <= 0.5 { height(p) } else { 2.0 * middle - height(1.0 - p) };
    (height - lowest()).round() as usize
}

/// The level of a log-probability; those below `e^-24` share one.
pub(super) fn level(log_p: f32) -> usize {
    let log_p = f64::from(log_p);
    let (p, rest) = (log_p.exp(), -log_p.exp_m1());
    match p <= 0.5 {
        true => level_of(p),
        false => (2.0 * height(0.5) - height(rest.max(LOWEST_LN.exp())) - lowest()).round() as usize,
    }
}

/// Log-probabilities of all levels.
pub(super) fn log_probs() -> Vec<f32> {
    let middle = height(0.5);
    let p_of = |height: f64| match height < 0.0 {
        true => (height / LOG_STEPS + BORDER.ln()).exp(),
        false => (height / ROOT_STEPS + BORDER.sqrt()).powi(2),
    };
    (0..n_levels())
        .map(|level| {
            let height = level as f64 + lowest();
            (if height <= middle { p_of(height).ln() } else { (-p_of(2.0 * middle - height)).ln_1p() }) as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_near_and_their_own() {
        let log_probs = log_probs();
        assert!(log_probs.is_sorted() && (1900..1960).contains(&log_probs.len()));
        for (i, &log_p) in log_probs.iter().enumerate() {
            assert_eq!(level(log_p), i, "{log_p}");
        }
        for i in 0..20_000 {
            let log_p = -f64::from(i) * 1.2e-3;
            let found = f64::from(log_probs[level(log_p as f32)]);
            assert!((found - log_p).abs() <= 1.0 / 31.9, "{log_p} {found}");
            // Half a step of the root, from either end.
            let (p, q) = (log_p.exp(), found.exp());
            let near =
                |p: f64, q: f64| (p.sqrt() - q.sqrt()).abs() < 0.51 / ROOT_STEPS || (p / q).ln().abs() <= 1.0 / 31.9;
            assert!(near(p, q) && near(1.0 - p, 1.0 - q), "{p} {q}");
        }
        assert_eq!(level(0.0), log_probs.len() - 1);
        assert_eq!((level(-30.0), level(f32::NEG_INFINITY)), (0, 0));
    }
}
