//! The router: logits, the choice, weights.

use std::sync::Arc;

use super::super::linear::cpu as linear;
use super::{ExpertLoad, Experts};
use crate::matmul::Out;
use crate::simd::RowMath;
use crate::tape::{Backward, Node};
use crate::{Buffer, ParamId, Tape, Tensor, Var};

/// Which experts take each row.
pub(super) struct Routing {
    pub(super) k: usize,
    /// `[t, k]`, the most likely first.
    pub(super) chosen: Vec<u32>,
}

struct Route {
    x: Tensor,
    node: Option<usize>,
    router: ParamId,
    routing: Arc<Routing>,
    /// `[t, k]`.
    weights: Tensor,
    /// `[t, n_experts]`.
    probabilities: Buffer<f32>,
    load: Option<Arc<ExpertLoad>>,
}

impl<'p> Node<'p> for Route {
    fn backward(self: Box<Self>, grad: Tensor, cx: &mut Backward<'_, 'p>) {
        let params = cx.params;
        let (device, k) = (params.device(), self.routing.k);
        let n = params.get(self.router).shape()[0];
        let even = self.load.as_ref().map(|load| load.gradient());
        let mut dlogits = device.zeros::<f32>(self.probabilities.len());
        let rows = self.weights.slice::<f32>().chunks_exact(k).zip(grad.slice::<f32>().chunks_exact(k));
        let rows = rows.zip(self.routing.chosen.chunks_exact(k)).zip(self.probabilities.chunks_exact(n));
        for ((((weights, grad), chosen), p), out) in rows.zip(dlogits.chunks_exact_mut(n)) {
            let mean: f32 = weights.iter().zip(grad).map(|(w, g)| w * g).sum();
            for ((w, g), &expert) in weights.iter().zip(grad).zip(chosen) {
                out[expert as usize] = w * (g - mean);
            }
            if let Some(even) = &even {
                let mean: f32 = p.iter().zip(even).map(|(p, g)| p * g).sum();
                for ((out, p), g) in out.iter_mut().zip(p).zip(even) {
                    *out += p * (g - mean);
                }
            }
        }
        let dlogits = linear::as_activation(params, &Tensor::new([self.probabilities.len() / n, n], dlogits));
        if let Some(dw) = cx.grads.out(self.router) {
            device.timed("router backward", || linear::weight_gradient(device, &dlogits, &self.x, dw));
        }
        if self.node.is_some() {
            let dx = device.timed("router backward", || linear::input_gradient(params, self.router, &dlogits));
            cx.add(self.node, dx);
        }
    }
}

/// Weights f32 `[t, k]` of the chosen experts.
pub(super) fn record(
    tape: &mut Tape<'_>,
    x: &Var,
    mixture: Experts<'_>,
    load: Option<(&Arc<ExpertLoad>, usize)>,
) -> (Var, Arc<Routing>) {
    let params = tape.params();
    let device = params.device();
    let (t, k, n) = (x.value().dims2().0, mixture.k, mixture.experts.len());
    assert!(k >= 1 && k <= n, "{k} of {n} experts");
    let mut probabilities = device.buffer::<f32>(t * n);
    let mut weights = device.buffer::<f32>(t * k);
    let mut chosen = Vec::with_capacity(t * k);
    device.timed("router", || {
        linear::forward_into(params, mixture.router, x.value(), Out::F32(&mut probabilities));
        let math = RowMath::new(device.isa());
        for (row, weights) in probabilities.chunks_exact_mut(n).zip(weights.chunks_exact_mut(k)) {
            let mut order: Vec<u32> = (0..n as u32).collect();
            // Among equals the first; what is no number comes last.
            order.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]));
            order.truncate(k);
            for (weight, &expert) in weights.iter_mut().zip(&order) {
                *weight = row[expert as usize];
            }
            math.softmax(weights, 1.0);
            math.softmax(row, 1.0);
            chosen.extend(order);
        }
    });
    if let Some((load, layer)) = load {
        let (mut choices, mut sums) = (vec![0.0; n], vec![0.0; n]);
        chosen.iter().for_each(|&expert| choices[expert as usize] += 1.0);
        for row in probabilities.chunks_exact(n) {
            sums.iter_mut().zip(row).for_each(|(sum, &p)| *sum += f64::from(p));
        }
        load.note(layer, (choices, sums), t);
    }
    let routing = Arc::new(Routing { k, chosen });
    let weights = Tensor::new([t, k], weights);
    let var = tape.record(weights.clone(), || {
        Box::new(Route {
            x: x.value().clone(),
            node: x.node(),
            router: mixture.router,
            routing: Arc::clone(&routing),
            weights,
            probabilities,
            load: load.map(|(load, _)| Arc::clone(load)),
        })
    });
    (var, routing)
}
