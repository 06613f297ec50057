//! From logits to a token.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use tutelage_run::RandomStream;

use super::Sampling;

/// Draws the tokens of one sequence.
#[derive(Debug)]
pub(crate) struct Sampler {
    sampling: Sampling,
    random: RandomStream,
    /// Tokens of the prompt and of the text, where repetition is penalised.
    seen: BTreeSet<u32>,
    /// How often each token was drawn, where that is penalised.
    drawn: BTreeMap<u32, u32>,
}

impl Sampler {
    /// For sample `index` of a request.
    pub(crate) fn new(sampling: Sampling, index: usize, prompt: &[u32]) -> Self {
        let random = RandomStream::new(sampling.seed, &format!("sample {index}"));
        let penalised = sampling.repetition_penalty != 1.0;
        let seen = if penalised { prompt.iter().copied().collect() } else { BTreeSet::new() };
        Self { sampling, random, seen, drawn: BTreeMap::new() }
    }

    /// Draws a token; the logits are changed on the way.
    pub(crate) fn draw(&mut self, logits_v: &mut [f32]) -> u32 {
        self.adjust(logits_v);
        let id = match self.sampling.temperature == 0.0 {
            true => most_likely(logits_v),
            false => self.pick(logits_v),
        };
        if self.sampling.repetition_penalty != 1.0 {
            self.seen.insert(id);
        }
        if (self.sampling.presence_penalty, self.sampling.frequency_penalty) != (0.0, 0.0) {
            *self.drawn.entry(id).or_insert(0) += 1;
        }
        id
    }

    /// Bias and penalties.
    fn adjust(&self, logits_v: &mut [f32]) {
        let s = &self.sampling;
        for &(id, bias) in &s.logit_bias {
            if let Some(logit) = logits_v.get_mut(id as usize) {
                *logit += bias as f32;
            }
        }
        for &id in &self.seen {
            if let Some(logit) = logits_v.get_mut(id as usize) {
                let penalty = s.repetition_penalty as f32;
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
        for (&id, &times) in &self.drawn {
            if let Some(logit) = logits_v.get_mut(id as usize) {
                *logit -= (s.presence_penalty + s.frequency_penalty * f64::from(times)) as f32;
            }
        }
    }

    fn pick(&mut self, logits_v: &[f32]) -> u32 {
        let s = &self.sampling;
        let mut kept: Vec<u32> = (0..logits_v.len() as u32).collect();
        if s.top_k > 0 && s.top_k < kept.len() {
            kept.select_nth_unstable_by(s.top_k, |&a, &b| by_logit(logits_v, a, b));
            kept.truncate(s.top_k);
            // The order of what a selection leaves is not the same everywhere.
            kept.sort_unstable();
        }
        let max = kept.iter().map(|&id| logits_v[id as usize]).fold(f32::NEG_INFINITY, f32::max);
        let weight = |id: u32| ((f64::from(logits_v[id as usize]) - f64::from(max)) / s.temperature).exp();
        let mut weights: Vec<f64> = kept.iter().map(|&id| weight(id)).collect();
        if s.top_p < 1.0 {
            let total: f64 = weights.iter().sum();
            kept = most_likely_mass(kept, logits_v, s.top_p * total, weight);
            weights = kept.iter().map(|&id| weight(id)).collect();
        }
        if s.min_p > 0.0 {
            // The most likely weighs one.
            kept.retain(|&id| weight(id) >= s.min_p);
            weights = kept.iter().map(|&id| weight(id)).collect();
        }
        if s.typical_p < 1.0 {
            kept = typical(&kept, &weights, s.typical_p);
            weights = kept.iter().map(|&id| weight(id)).collect();
        }
        let mut left = self.random.uniform() * weights.iter().sum::<f64>();
        for (id, weight) in kept.iter().zip(&weights) {
            left -= weight;
            if left < 0.0 {
                return *id;
            }
        }
        // Rounding left a little over; all logits that are no numbers leave nothing.
        kept.last().copied().unwrap_or(0)
    }
}

/// Larger logits first, of equal ones the smaller id.
fn by_logit(logits_v: &[f32], a: u32, b: u32) -> Ordering {
    logits_v[b as usize].total_cmp(&logits_v[a as usize]).then(a.cmp(&b))
}

/// The id with the largest logit, of equal ones the smallest.
pub(crate) fn most_likely(logits_v: &[f32]) -> u32 {
    let mut best = 0;
    for (id, logit) in logits_v.iter().enumerate() {
        if *logit > logits_v[best] {
            best = id;
        }
    }
    best as u32
}

/// The most likely that together reach a mass, most likely first.
fn most_likely_mass(mut ids: Vec<u32>, logits_v: &[f32], mass: f64, weight: impl Fn(u32) -> f64) -> Vec<u32> {
    // A few reach it most of the time: all of a vocabulary need not be sorted for them.
    let mut n = 64;
    loop {
        let n_sorted = n.min(ids.len());
        if n_sorted < ids.len() {
            ids.select_nth_unstable_by(n_sorted, |&a, &b| by_logit(logits_v, a, b));
        }
        ids[..n_sorted].sort_unstable_by(|&a, &b| by_logit(logits_v, a, b));
        let mut sum = 0.0;
        let reached = ids[..n_sorted].iter().position(|&id| {
            sum += weight(id);
            sum >= mass
        });
        match reached {
            Some(last) => ids.truncate(last + 1),
            None if n_sorted < ids.len() => {
                n *= 8;
                continue;
            }
            None => {}
        }
        return ids;
    }
}

/// Those whose surprise is nearest to the entropy and that together reach a share of the mass.
fn typical(ids: &[u32], weights: &[f64], share: f64) -> Vec<u32> {
    let total: f64 = weights.iter().sum();
    let surprise = |weight: f64| (total / weight).ln();
    let present = |weight: &f64| *weight > 0.0;
    let entropy: f64 = weights.iter().copied().filter(|w| present(w)).map(|w| w / total * surprise(w)).sum();
    let mut all: Vec<(f64, u32, f64)> = ids
        .iter()
        .zip(weights)
        .filter(|(_, weight)| present(weight))
        .map(|(&id, &weight)| ((surprise(weight) - entropy).abs(), id, weight))
        .collect();
    all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut sum = 0.0;
    let last = all.iter().position(|(.., weight)| {
        sum += weight;
        sum >= share * total
    });
    all.truncate(last.map_or(all.len(), |last| last + 1));
    all.into_iter().map(|(_, id, _)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIKELY: [f32; 4] = [0.1, 0.5, 0.3, 0.1];

    fn draws(sampling: Sampling) -> [i32; 4] {
        let logits = LIKELY.map(f32::ln);
        let mut counts = [0; 4];
        let mut sampler = Sampler::new(sampling, 0, &[]);
        (0..10_000).for_each(|_| counts[sampler.draw(&mut logits.clone()) as usize] += 1);
        counts
    }

    fn plain() -> Sampling {
        Sampling { temperature: 1.0, top_p: 1.0, seed: 1, ..Sampling::default() }
    }

    #[test]
    fn draws_follow_the_distribution() {
        let near = |found: [i32; 4], expected: [i32; 4]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 200 && (b > 0 || *a == 0)), "{found:?}");
        };
        near(draws(plain()), [1000, 5000, 3000, 1000]);
        near(draws(Sampling { temperature: 0.0, ..plain() }), [0, 10_000, 0, 0]);
        near(draws(Sampling { top_k: 2, ..plain() }), [0, 6250, 3750, 0]);
        near(draws(Sampling { top_p: 0.75, ..plain() }), [0, 6250, 3750, 0]);
        near(draws(Sampling { top_p: 0.85, ..plain() }), [1111, 5556, 3333, 0]);
        near(draws(Sampling { min_p: 0.5, ..plain() }), [0, 6250, 3750, 0]);
        // At temperature 1/2 the squares: 1, 25, 9, 1 of 36.
        near(draws(Sampling { temperature: 0.5, ..plain() }), [278, 6944, 2500, 278]);
        // Entropy 1.168; surprises 2.303, 0.693, 1.204, 2.303: the third is nearest, then the second.
        near(draws(Sampling { typical_p: 0.2, ..plain() }), [0, 0, 10_000, 0]);
        near(draws(Sampling { typical_p: 0.5, ..plain() }), [0, 6250, 3750, 0]);
        near(draws(Sampling { logit_bias: vec![(1, f64::NEG_INFINITY), (9, 1.0)], ..plain() }), [2000, 0, 6000, 2000]);
    }

    #[test]
    fn mass_is_found_beyond_the_first_few() {
        // 5,000 equally likely: half of them are the first half.
        let logits = vec![0.0; 5000];
        let kept = most_likely_mass((0..5000).rev().collect(), &logits, 2500.0, |_| 1.0);
        assert_eq!(kept, (0..2500).collect::<Vec<_>>());
        assert_eq!(most_likely_mass((0..5000).collect(), &logits, 9e9, |_| 1.0).len(), 5000);
    }

    #[test]
    fn penalties_are_those_worked_out_by_hand() {
        let greedy = Sampling { temperature: 0.0, ..plain() };
        let texts = |sampling: Sampling| {
            let mut sampler = Sampler::new(sampling, 0, &[2]);
            (0..5).map(|_| sampler.draw(&mut [1.0, 1.5, 2.0, -1.0])).collect::<Vec<_>>()
        };
        // The prompt's 2 is halved to 1, then 1 to 0.75: 0 is left, halved to 0.5; then 1 again.
        assert_eq!(texts(Sampling { repetition_penalty: 2.0, ..greedy.clone() }), [1, 0, 2, 2, 2]);
        // 2 becomes 1.2, 1 becomes 0.7, 0 becomes 0.2: then 2 is the largest again.
        assert_eq!(texts(Sampling { presence_penalty: 0.8, ..greedy.clone() }), [2, 1, 2, 2, 2]);
        // 2, 1.5, then 1.2: 2.0, 1.5 (2 is at 1.2), 2 (1 at 0.7), 0 (2 at 0.4), then 1 at 0.7.
        assert_eq!(texts(Sampling { frequency_penalty: 0.8, ..greedy }), [2, 1, 2, 0, 1]);
    }

    #[test]
    fn samples_of_one_seed_differ_and_repeat() {
        let of = |index| {
            let mut sampler = Sampler::new(plain(), index, &[]);
            (0..20).map(|_| sampler.draw(&mut LIKELY.map(f32::ln))).collect::<Vec<_>>()
        };
        assert_eq!(of(0), of(0));
        assert_ne!(of(0), of(1));
    }
}
