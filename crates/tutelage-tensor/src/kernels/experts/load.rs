//! How evenly the experts of a model are used, and the loss that evens it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the routers of one forward pass did, and the balance loss over all of its layers (2101.03961, equation 4, with
/// `k` choices a row as in Mixtral's published training code): `n_experts * sum_e share_e * mean probability_e`, where
/// `share_e` is the number of choices of expert `e` over the rows. Even use gives `k`.
#[derive(Debug)]
pub struct ExpertLoad {
    coefficient: f32,
    layers: Vec<Mutex<Layer>>,
}

#[derive(Debug, Clone, Default)]
struct Layer {
    rows: usize,
    choices: Vec<f64>,
    probabilities: Vec<f64>,
}

impl Layer {
    fn add(&mut self, other: &Layer) {
        self.rows += other.rows;
        for (to, from) in [(&mut self.choices, &other.choices), (&mut self.probabilities, &other.probabilities)] {
            to.resize(from.len().max(to.len()), 0.0);
            to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        }
    }
}

impl ExpertLoad {
    /// Nothing counted yet; gradients are those of `coefficient` times the loss.
    pub fn new(n_layers: usize, coefficient: f32) -> Self {
        Self { coefficient, layers: (0..n_layers).map(|_| Mutex::default()).collect() }
    }

    fn layer(&self, index: usize) -> MutexGuard<'_, Layer> {
        self.layers[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a layer; a layer that is computed again replaces itself.
    pub(super) fn note(&self, layer: usize, (choices, probabilities): (Vec<f64>, Vec<f64>), rows: usize) {
        *self.layer(layer) = Layer { rows, choices, probabilities };
    }

    fn total(&self) -> Layer {
        let mut total = Layer::default();
        (0..self.layers.len()).for_each(|index| total.add(&self.layer(index)));
        total
    }

    /// The loss, without the coefficient.
    pub fn loss(&self) -> f64 {
        let total = self.total();
        let rows = total.rows.max(1) as f64;
        let products = total.choices.iter().zip(&total.probabilities).map(|(c, p)| c / rows * (p / rows));
        total.choices.len() as f64 * products.sum::<f64>()
    }

    /// The part of all choices that the busiest expert took, times the number of experts: one where use is even.
    pub fn largest_share(&self) -> f64 {
        let total = self.total();
        let most = total.choices.iter().copied().fold(0.0, f64::max);
        most * total.choices.len() as f64 / total.choices.iter().sum::<f64>().max(1.0)
    }

    /// The gradient of the loss times the coefficient with respect to each probability of a row, by expert.
    pub(super) fn gradient(&self) -> Vec<f32> {
        let total = self.total();
        let rows = total.rows.max(1) as f64;
        let scale = f64::from(self.coefficient) * total.choices.len() as f64 / (rows * rows);
        total.choices.iter().map(|choices| (scale * choices) as f32).collect()
    }
}
