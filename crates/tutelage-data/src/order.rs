//! Which sequences a step sees.

use tutelage_run::RandomStream;

/// A fresh permutation of all sequences for each epoch: the k-th draw is a function of (seed, k).
#[derive(Debug, Clone)]
pub struct SequenceOrder {
    n_sequences: u64,
    seed: u64,
    epoch: Option<u64>,
    permutation: Vec<u32>,
}

impl SequenceOrder {
    /// The order of `n_sequences` sequences.
    pub fn new(n_sequences: usize, seed: u64) -> Self {
        Self { n_sequences: n_sequences as u64, seed, epoch: None, permutation: Vec::new() }
    }

    /// The sequence of draw `k`. Cheap inside an epoch.
    pub fn at(&mut self, k: u64) -> usize {
        let (epoch, i) = (k / self.n_sequences, k % self.n_sequences);
        if self.epoch != Some(epoch) {
            self.permutation = (0..self.n_sequences as u32).collect();
            RandomStream::new(self.seed, &format!("sequence order, epoch {epoch}")).shuffle(&mut self.permutation);
            self.epoch = Some(epoch);
        }
        self.permutation[i as usize] as usize
    }

    /// The sequences of step `step` (from zero), `batch` a step.
    pub fn step(&mut self, step: u64, batch: usize) -> Vec<usize> {
        (0..batch as u64).map(|i| self.at(step * batch as u64 + i)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_sees_every_sequence_once() {
        let mut order = SequenceOrder::new(10, 3);
        let mut epochs: Vec<Vec<usize>> = (0..2).map(|e| (0..10).map(|i| order.at(e * 10 + i)).collect()).collect();
        assert_ne!(epochs[0], epochs[1]);
        for epoch in &mut epochs {
            epoch.sort_unstable();
            assert_eq!(*epoch, (0..10).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_step_does_not_depend_on_the_steps_before() {
        let mut all = SequenceOrder::new(10, 3);
        let steps: Vec<_> = (0..7).map(|s| all.step(s, 4)).collect();
        assert_eq!(SequenceOrder::new(10, 3).step(5, 4), steps[5]);
        assert_ne!(SequenceOrder::new(10, 4).step(5, 4), steps[5]);
    }
}
