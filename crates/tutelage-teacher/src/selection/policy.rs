//! A policy that is linear in what it sees.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tutelage_run::RandomStream;

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Each teacher teaches or does not.
    Each,
    /// All teach, with weights.
    Weights,
}

/// Deviation of the draws of logarithms of weights.
const SPREAD: f64 = 0.5;
/// Share of the newest reward in the running means.
const NEWEST: f64 = 0.1;
/// No reward counts for more deviations from the mean.
const LARGEST: f64 = 3.0;
/// What is seen of a teacher beside who it is.
pub(crate) const N_SEEN: usize = 2;

/// Draws teachers, and learns from rewards.
#[derive(Debug)]
pub struct Policy {
    choice: Choice,
    lr: f64,
    seed: u64,
    n_members: usize,
    state: Mutex<State>,
}

/// What is learned, and what has been drawn since the last reward.
#[derive(Debug)]
struct State {
    /// One for each member, then one for each thing seen.
    weights: Vec<f64>,
    updates: u64,
    mean: f64,
    square: f64,
    /// Sum of the gradients of the logarithms of what was drawn.
    gradient: Vec<f64>,
    n_drawn: u64,
}

/// What is seen of a member: its number, and [`N_SEEN`] numbers.
pub(crate) type Seen = (usize, [f64; N_SEEN]);

impl Policy {
    /// A policy that prefers no one, over so many members.
    pub fn new(choice: Choice, lr: f64, seed: u64, n_members: usize) -> Self {
        let zeros = vec![0.0; n_members + N_SEEN];
        let state = State { gradient: zeros.clone(), weights: zeros, updates: 0, mean: 0.0, square: 0.0, n_drawn: 0 };
        Self { choice, lr, seed, n_members, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn score(&self, weights: &[f64], (member, seen): &Seen) -> f64 {
        weights[*member] + weights[self.n_members..].iter().zip(seen).map(|(w, x)| w * x).sum::<f64>()
    }

    /// Weights of the members that are seen, zero for who does not teach; a function of what was learned and of `document`.
    pub(crate) fn draw(&self, members: &[Seen], document: u64) -> Vec<f64> {
        let mut state = self.lock();
        let name = format!("selection {} {document:016x}", state.updates);
        let mut stream = RandomStream::new(self.seed, &name);
        let mut drawn = Vec::with_capacity(members.len());
        for seen in members {
            let score = self.score(&state.weights, seen);
            // With the derivative of the draw's log-probability with respect to the score.
            let (value, slope) = match self.choice {
                Choice::Each => {
                    let p = 1.0 / (1.0 + (-score).exp());
                    let teaches = f64::from(u8::from(stream.uniform() < p));
                    (teaches, teaches - p)
                }
                Choice::Weights => {
                    let noise = stream.normal();
                    (score + SPREAD * noise, noise / SPREAD)
                }
            };
            state.gradient[seen.0] += slope;
            for (gradient, x) in state.gradient[self.n_members..].iter_mut().zip(seen.1) {
                *gradient += slope * x;
            }
            drawn.push(value);
        }
        state.n_drawn += members.len() as u64;
        if self.choice == Choice::Weights {
            let largest = drawn.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            drawn.iter_mut().for_each(|x| *x = (*x - largest).exp());
        }
        drawn
    }

    /// Learns from what the draws since the last reward were worth.
    pub(crate) fn reward(&self, reward: f64) {
        let mut state = self.lock();
        let state = &mut *state;
        if state.updates == 0 {
            (state.mean, state.square) = (reward, 0.0);
        }
        let deviation = reward - state.mean;
        state.square += NEWEST * (deviation * deviation - state.square);
        let advantage = (deviation / state.square.sqrt().max(1e-12)).clamp(-LARGEST, LARGEST);
        state.mean += NEWEST * deviation;
        let step = self.lr * advantage / state.n_drawn.max(1) as f64;
        state.weights.iter_mut().zip(&mut state.gradient).for_each(|(w, g)| *w += step * std::mem::take(g));
        state.updates += 1;
        state.n_drawn = 0;
    }

    /// All that a checkpoint needs.
    pub(crate) fn state(&self) -> Vec<f64> {
        let state = self.lock();
        [&state.weights[..], &[state.updates as f64, state.mean, state.square]].concat()
    }

    /// Goes on from that; whether it was that of such a policy.
    pub(crate) fn restore(&self, from: &[f64]) -> bool {
        let mut state = self.lock();
        let n = state.weights.len();
        let &[updates, mean, square] = &from[n.min(from.len())..] else { return false };
        state.weights.copy_from_slice(&from[..n]);
        (state.updates, state.mean, state.square) = (updates as u64, mean, square);
        true
    }

    /// What it has come to, member by member.
    pub(crate) fn describe(&self, names: &[String]) -> String {
        let state = self.lock();
        let members = names.iter().zip(&state.weights).map(|(name, weight)| format!("{name} {weight:+.2}"));
        let seen = &state.weights[self.n_members..];
        let members = members.collect::<Vec<_>>().join(", ");
        format!("scores {members}; {:+.2} a nat of loss above the others, {:+.2} a nat of doubt", seen[0], seen[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBERS: [Seen; 2] = [(0, [0.3, -0.2]), (1, [-0.3, 0.5])];

    /// Share of draws in which each teaches, or its mean share of the weights.
    fn shares(policy: &Policy) -> [f64; 2] {
        let mut out = [0.0; 2];
        for document in 0..400 {
            let drawn = policy.draw(&MEMBERS, document);
            let sum = if policy.choice == Choice::Each { 1.0 } else { drawn.iter().sum() };
            out.iter_mut().zip(drawn).for_each(|(out, x)| *out += x / sum / 400.0);
        }
        out
    }

    #[test]
    fn who_helps_is_chosen_more_and_who_does_not_less() {
        for choice in [Choice::Each, Choice::Weights] {
            let policy = Policy::new(choice, 0.5, 3, 2);
            let [first, second] = shares(&policy);
            assert!((first - second).abs() < 0.1, "{choice:?}: {first} {second}");
            for step in 0..600u64 {
                let drawn: Vec<Vec<f64>> = (0..8).map(|i| policy.draw(&MEMBERS, 10_000 + 8 * step + i)).collect();
                // The first helps, the second harms.
                let worth = |drawn: &Vec<f64>| match choice {
                    Choice::Each => drawn[0] - drawn[1],
                    Choice::Weights => (drawn[0] - drawn[1]) / (drawn[0] + drawn[1]),
                };
                policy.reward(0.02 * drawn.iter().map(worth).sum::<f64>() / 8.0 - 0.1);
            }
            let [first, second] = shares(&policy);
            assert!(first > 0.8 && second < 0.2, "{choice:?}: {first} {second}");
            assert!(policy.describe(&["a".to_owned(), "b".to_owned()]).starts_with("scores a +"));
        }
    }

    #[test]
    fn the_gradient_is_that_of_the_log_probability() {
        // Of one draw of each of two teachers: log p if it teaches, log (1 - p) if not.
        let policy = Policy::new(Choice::Each, 0.1, 5, 2);
        policy.restore(&[0.2, -0.4, 0.7, -0.1, 4.0, 0.0, 1.0]);
        let drawn = policy.draw(&MEMBERS, 7);
        let log_p = |weights: &[f64]| -> f64 {
            let of = |(seen, drawn): (&Seen, &f64)| {
                let p = 1.0 / (1.0 + (-policy.score(weights, seen)).exp());
                if *drawn == 1.0 { p.ln() } else { (1.0 - p).ln() }
            };
            MEMBERS.iter().zip(&drawn).map(of).sum()
        };
        let weights = policy.lock().weights.clone();
        let expected = tutelage_testkit::finite_difference(&weights, log_p);
        tutelage_testkit::assert_close("gradient", &policy.lock().gradient, &expected, 1e-8, 1e-6);
    }

    #[test]
    fn it_goes_on_from_where_it_was() {
        let rewards = [0.1, -0.2, 0.3, 0.05, 0.2];
        let step = |policy: &Policy, i: usize| {
            let drawn = policy.draw(&MEMBERS, i as u64);
            policy.reward(rewards[i]);
            drawn
        };
        let whole = Policy::new(Choice::Weights, 0.3, 1, 2);
        let first: Vec<_> = (0..5).map(|i| step(&whole, i)).collect();
        let before = Policy::new(Choice::Weights, 0.3, 1, 2);
        (0..3).for_each(|i| assert_eq!(step(&before, i), first[i]));
        let after = Policy::new(Choice::Weights, 0.3, 1, 2);
        assert!(after.restore(&before.state()) && !after.restore(&[1.0, 2.0]));
        (3..5).for_each(|i| assert_eq!(step(&after, i), first[i]));
        assert_eq!(whole.state(), after.state());
    }
}
