//! Rows to their experts and back.

use std::sync::Arc;

use super::super::{ROW_BLOCK, by_dtype};
use super::route::Routing;
use crate::kernels::feed_forward::FeedForward;
use crate::simd::RowMath;
use crate::tape::{Backward, Node};
use crate::{Device, Element, Tape, Tensor, Var};

/// An expert at work: a tape of its own over its own rows.
struct Expert<'p> {
    tape: Tape<'p>,
    x: Var,
    y: Var,
    /// Its choices, as indices into `[t, k]`.
    choices: Vec<u32>,
}

struct Mix<'p> {
    routing: Arc<Routing>,
    weights: Tensor,
    experts: Vec<Expert<'p>>,
    places: Vec<Place>,
    nodes: [Option<usize>; 3],
}

/// Where a choice's row is: of which expert at work, and which of its rows.
#[derive(Clone, Copy, Default)]
struct Place {
    expert: u32,
    row: u32,
}

impl<'p> Node<'p> for Mix<'p> {
    fn backward(self: Box<Self>, grad: Tensor, cx: &mut Backward<'_, 'p>) {
        let Mix { routing, weights, experts, places, nodes: [x, w, residual] } = *self;
        let device = cx.params.device();
        let (t, d) = grad.dims2();
        let (rows, weights, math) = (grad.slice::<f32>(), weights.slice::<f32>(), RowMath::new(device.isa()));
        let mut dw = device.buffer::<f32>(weights.len());
        let mut dx_experts = Vec::new();
        for expert in experts {
            let (y, n) = (expert.y.value().slice::<f32>(), expert.choices.len());
            let mut dy = device.buffer::<f32>(n * d);
            let row = |choice: u32| &rows[choice as usize / routing.k * d..][..d];
            device.timed("expert rows", || {
                device.for_each_block(&mut dy, d, |i, dy| {
                    let choice = expert.choices[i];
                    dy.fill(0.0);
                    math.add_scaled(dy, row(choice), weights[choice as usize]);
                });
                for (&choice, y) in expert.choices.iter().zip(y.chunks_exact(d)) {
                    dw[choice as usize] = math.dot(row(choice), y);
                }
            });
            let inner = expert.tape.backward(&expert.y, Tensor::new([n, d], dy), cx.grads);
            dx_experts.extend(inner.of(&expert.x).cloned());
        }
        if x.is_some() {
            let dx = by_dtype!(cx.params.precision().activation(), T => {
                let mut dx = device.buffer::<T>(t * d);
                sum_rows(device, (&places, routing.k, d), &dx_experts, &mut dx);
                Tensor::new([t, d], dx)
            });
            cx.add(x, dx);
        }
        cx.add(w, Tensor::new([t, routing.k], dw));
        cx.add(residual, grad);
    }
}

/// Sums of the rows of each row's choices.
fn sum_rows<T: Element>(device: &Device, (places, k, d): (&[Place], usize, usize), from: &[Tensor], out: &mut [T]) {
    let from: Vec<&[T]> = from.iter().map(Tensor::slice).collect();
    device.timed("expert rows", || {
        device.for_each_block(out, ROW_BLOCK * d, |block, out| {
            let mut sums = vec![0.0; d];
            for (t, out) in (block * ROW_BLOCK..).zip(out.chunks_exact_mut(d)) {
                sums.fill(0.0);
                for place in &places[t * k..][..k] {
                    let row = &from[place.expert as usize][place.row as usize * d..][..d];
                    sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x.to_f32());
                }
                out.iter_mut().zip(&sums).for_each(|(out, &sum)| *out = T::from_f32(sum));
            }
        });
    });
}

/// Rows of `x` that the choices are of.
fn gather<T: Element>(device: &Device, x: &Tensor, choices: &[u32], k: usize) -> Tensor {
    let (_, d) = x.dims2();
    let from = x.slice::<T>();
    let mut out = device.buffer::<T>(choices.len() * d);
    device.timed("expert rows", || {
        for (out, &choice) in out.chunks_exact_mut(d).zip(choices) {
            out.copy_from_slice(&from[choice as usize / k * d..][..d]);
        }
    });
    Tensor::new([choices.len(), d], out)
}

/// `residual + sum of weight * expert(x)`.
pub(super) fn record<'p>(
    tape: &mut Tape<'p>,
    (x, weights): (&Var, &Var),
    routing: Arc<Routing>,
    experts: &[FeedForward],
    residual: Option<&Var>,
) -> Var {
    let (params, k) = (tape.params(), routing.k);
    let device = params.device();
    let (t, d) = x.value().dims2();
    let mut choices: Vec<Vec<u32>> = vec![Vec::new(); experts.len()];
    for (choice, &expert) in (0..).zip(&routing.chosen) {
        choices[expert as usize].push(choice);
    }
    let mut places = vec![Place::default(); t * k];
    let mut at_work = Vec::new();
    for (choices, &weights) in choices.into_iter().zip(experts).filter(|(choices, _)| !choices.is_empty()) {
        let mut inner = if tape.records() { Tape::training(params) } else { Tape::inference(params) };
        let rows = by_dtype!(x.value().dtype(), T => gather::<T>(device, x.value(), &choices, k));
        let leaf = inner.leaf(rows);
        let y = inner.feed_forward(&leaf, weights, None);
        for (row, &choice) in (0..).zip(&choices) {
            places[choice as usize] = Place { expert: at_work.len() as u32, row };
        }
        at_work.push(Expert { tape: inner, x: leaf, y, choices });
    }
    let mut out = device.buffer::<f32>(t * d);
    let from: Vec<&[f32]> = at_work.iter().map(|expert| expert.y.value().slice()).collect();
    let residual_rows = residual.map(|residual| residual.value().slice::<f32>());
    let (math, w) = (RowMath::new(device.isa()), weights.value().slice::<f32>());
    device.timed("expert rows", || {
        device.for_each_block(&mut out, ROW_BLOCK * d, |block, out| {
            for (t, out) in (block * ROW_BLOCK..).zip(out.chunks_exact_mut(d)) {
                match residual_rows {
                    Some(rows) => out.copy_from_slice(&rows[t * d..][..d]),
                    None => out.fill(0.0),
                }
                for choice in t * k..(t + 1) * k {
                    let place = places[choice];
                    let row = &from[place.expert as usize][place.row as usize * d..][..d];
                    math.add_scaled(out, row, w[choice]);
                }
            }
        });
    });
    let nodes = [x.node(), weights.node(), residual.and_then(Var::node)];
    let weights = weights.value().clone();
    tape.record(Tensor::new([t, d], out), || Box::new(Mix { routing, weights, experts: at_work, places, nodes }))
}
