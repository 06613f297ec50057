//! From logits to a token.

use tutelage_run::RandomStream;

use crate::GenerateError;

/// How tokens are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Most tokens to write.
    pub max_tokens: usize,
    /// Divides the logits; zero takes the most likely token always.
    pub temperature: f64,
    /// Only the most likely so many; zero for all.
    pub top_k: usize,
    /// Only the most likely that together reach this mass.
    pub top_p: f64,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { max_tokens: 100, temperature: 0.8, top_k: 0, top_p: 0.95, seed: 0 }
    }
}

impl Sampling {
    /// Checks ranges.
    ///
    /// # Errors
    /// Names what is outside.
    pub fn validate(&self) -> Result<(), GenerateError> {
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            let found = format!("temperature = {}: must be zero or positive", self.temperature);
            return Err(GenerateError::Request(found));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(GenerateError::Request(format!("top_p = {}: must be above 0, at most 1", self.top_p)));
        }
        Ok(())
    }

    /// Draws a token.
    pub(crate) fn draw(&self, logits_v: &[f32], random: &mut RandomStream) -> u32 {
        let mut ids: Vec<u32> = (0..logits_v.len() as u32).collect();
        ids.sort_unstable_by(|&a, &b| logits_v[b as usize].total_cmp(&logits_v[a as usize]).then(a.cmp(&b)));
        if self.temperature == 0.0 {
            return ids[0];
        }
        if self.top_k > 0 {
            ids.truncate(self.top_k);
        }
        let max = f64::from(logits_v[ids[0] as usize]);
        let weight = |&id: &u32| ((f64::from(logits_v[id as usize]) - max) / self.temperature).exp();
        let weights: Vec<f64> = ids.iter().map(weight).collect();
        let total: f64 = weights.iter().sum();
        let mut mass = 0.0;
        let kept = weights.iter().position(|w| {
            mass += w;
            mass >= self.top_p * total
        });
        let weights = &weights[..=kept.unwrap_or(weights.len() - 1)];
        let mut left = random.uniform() * weights.iter().sum::<f64>();
        for (id, weight) in ids.iter().zip(weights) {
            left -= weight;
            if left < 0.0 {
                return *id;
            }
        }
        ids[weights.len() - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(sampling: Sampling) -> [usize; 4] {
        let logits: Vec<f32> = [0.1f32, 0.5, 0.3, 0.1].iter().map(|p| p.ln()).collect();
        let mut counts = [0; 4];
        let mut random = RandomStream::new(1, "test");
        (0..10_000).for_each(|_| counts[sampling.draw(&logits, &mut random) as usize] += 1);
        counts
    }

    #[test]
    fn draws_follow_the_distribution() {
        let all = Sampling { temperature: 1.0, top_p: 1.0, ..Sampling::default() };
        let counts = draws(all);
        assert!((counts[1] as i32 - 5000).abs() < 200 && (counts[0] as i32 - 1000).abs() < 150, "{counts:?}");
        assert_eq!(draws(Sampling { temperature: 0.0, ..all }), [0, 10_000, 0, 0]);
        let two = draws(Sampling { top_k: 2, ..all });
        assert!(two[0] + two[3] == 0 && (two[1] as i32 - 6250).abs() < 200, "{two:?}");
        assert_eq!(draws(Sampling { top_p: 0.75, ..all })[1..3], two[1..3]);
    }
}
