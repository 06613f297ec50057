//! Naive mixture of experts, f64: every expert over every row, then the choice.

use crate::kernels::feed_forward::reference as feed_forward;

/// A mixture.
pub struct Mixture<'a> {
    /// `[n_experts, d_model]`.
    pub router: &'a [f64],
    /// Experts a row.
    pub k: usize,
    /// The experts.
    pub experts: Vec<feed_forward::Weights<'a>>,
}

/// Gradients of a mixture.
pub struct Gradients {
    /// Of the rows.
    pub dx: Vec<f64>,
    /// Of the router.
    pub drouter: Vec<f64>,
    /// Of the experts.
    pub experts: Vec<feed_forward::Gradients>,
}

impl Mixture<'_> {
    fn d(&self) -> usize {
        self.router.len() / self.experts.len()
    }

    /// Softmax over all experts, and the weight of each (zero where it is not chosen).
    fn weights(&self, row: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let logits: Vec<f64> =
            self.router.chunks(self.d()).map(|w| w.iter().zip(row).map(|(w, x)| w * x).sum()).collect();
        let sum: f64 = logits.iter().map(|z| z.exp()).sum();
        let p: Vec<f64> = logits.iter().map(|z| z.exp() / sum).collect();
        let mut order: Vec<usize> = (0..p.len()).collect();
        order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
        let total: f64 = order[..self.k].iter().map(|&e| p[e]).sum();
        let mut weights = vec![0.0; p.len()];
        order[..self.k].iter().for_each(|&e| weights[e] = p[e] / total);
        (p, weights)
    }

    /// `sum of weight * expert(x)`.
    pub fn forward(&self, x: &[f64]) -> Vec<f64> {
        let d = self.d();
        let all: Vec<Vec<f64>> = self.experts.iter().map(|&w| feed_forward::forward(x, w)).collect();
        let mut out = vec![0.0; x.len()];
        for (t, row) in x.chunks(d).enumerate() {
            for (weight, y) in self.weights(row).1.iter().zip(&all) {
                (0..d).for_each(|c| out[t * d + c] += weight * y[t * d + c]);
            }
        }
        out
    }

    /// The balance loss over these rows: `n_experts * sum_e choices_e / t * mean p_e`.
    pub fn balance(&self, x: &[f64]) -> f64 {
        let (n, t) = (self.experts.len(), x.len() / self.d());
        let (mut choices, mut probabilities) = (vec![0.0; n], vec![0.0; n]);
        for row in x.chunks(self.d()) {
            let (p, weights) = self.weights(row);
            for e in 0..n {
                choices[e] += f64::from(weights[e] > 0.0) / t as f64;
                probabilities[e] += p[e] / t as f64;
            }
        }
        n as f64 * choices.iter().zip(&probabilities).map(|(c, p)| c * p).sum::<f64>()
    }

    /// Gradients of `sum grad * forward(x) + coefficient * balance(x)`.
    pub fn backward(&self, x: &[f64], grad: &[f64], coefficient: f64) -> Gradients {
        let (d, n) = (self.d(), self.experts.len());
        let t = x.len() / d;
        let rows: Vec<_> = x.chunks(d).map(|row| self.weights(row)).collect();
        let share = |e: usize| rows.iter().filter(|row| row.1[e] > 0.0).count() as f64 / t as f64;
        let even: Vec<f64> = (0..n).map(|e| coefficient * n as f64 * share(e) / t as f64).collect();
        let (mut dx, mut drouter, mut dweights) = (vec![0.0; x.len()], vec![0.0; n * d], vec![0.0; t * n]);
        let mut experts = Vec::new();
        for (e, &weights) in self.experts.iter().enumerate() {
            let y = feed_forward::forward(x, weights);
            let dy: Vec<f64> = grad.iter().enumerate().map(|(i, g)| g * rows[i / d].1[e]).collect();
            let gradients = feed_forward::backward(x, weights, &dy);
            dx.iter_mut().zip(&gradients.dx).for_each(|(to, from)| *to += from);
            (0..x.len()).for_each(|i| dweights[i / d * n + e] += grad[i] * y[i]);
            experts.push(gradients);
        }
        for (t, (p, w)) in rows.iter().enumerate() {
            let dweights = &dweights[t * n..][..n];
            let mean_w: f64 = w.iter().zip(dweights).map(|(w, g)| w * g).sum();
            let mean_p: f64 = p.iter().zip(&even).map(|(p, g)| p * g).sum();
            for e in 0..n {
                let dlogit = w[e] * (dweights[e] - mean_w) + p[e] * (even[e] - mean_p);
                for c in 0..d {
                    drouter[e * d + c] += dlogit * x[t * d + c];
                    dx[t * d + c] += dlogit * self.router[e * d + c];
                }
            }
        }
        Gradients { dx, drouter, experts }
    }
}
