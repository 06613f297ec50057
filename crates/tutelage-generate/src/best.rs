//! Which of several samples a model itself finds the most likely.

/// Numbers of samples, those whose tokens are the most likely on average first; of equal ones the first drawn.
pub fn best_first(logprobs_of_samples: &[Vec<f64>]) -> Vec<usize> {
    // A text without tokens says nothing against itself.
    let mean = |at: usize| logprobs_of_samples[at].iter().sum::<f64>() / logprobs_of_samples[at].len().max(1) as f64;
    let mut order: Vec<usize> = (0..logprobs_of_samples.len()).collect();
    order.sort_by(|&a, &b| mean(b).total_cmp(&mean(a)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_not_worse_for_their_length() {
        // Means -1, -0.9, -2, -0.9.
        let samples = [vec![-1.0], vec![-0.8, -1.0, -0.9], vec![-2.0, -2.0], vec![-0.9]];
        assert_eq!(best_first(&samples), [1, 3, 0, 2]);
        assert_eq!(best_first(&[vec![-0.1], vec![]]), [1, 0]);
    }
}
