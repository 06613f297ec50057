//! AdamW over all parameters.

use tutelage_model::Decoder;
use tutelage_tensor::kernels::adamw::{AdamWStep, adamw, grad_squares};
use tutelage_tensor::{Grads, Params};

use crate::TrainConfig;

/// Both moments of every parameter that learns, f32.
#[derive(Debug)]
pub(crate) struct Moments {
    pub(crate) first: Grads,
    pub(crate) second: Grads,
}

impl Moments {
    pub(crate) fn zeros(params: &Params) -> Self {
        Self { first: Grads::dense(params), second: Grads::dense(params) }
    }
}

/// Norm of the whole gradient.
pub(crate) fn grad_norm(params: &Params, grads: &Grads) -> f64 {
    params.learned().map(|(id, _)| grad_squares(params.device(), grads, id)).sum::<f64>().sqrt()
}

/// One step; `step` counts from zero. Matrices decay, norms do not.
pub(crate) fn update(
    model: &mut Decoder,
    grads: &Grads,
    moments: &mut Moments,
    config: &TrainConfig,
    step: u64,
    norm: f64,
) {
    let scale = if config.grad_clip > 0.0 && norm > config.grad_clip { config.grad_clip / norm } else { 1.0 };
    let params = model.params_mut();
    let ids: Vec<_> = params.learned().map(|(id, param)| (id, param.is_matrix())).collect();
    for (id, is_matrix) in ids {
        let scalars = AdamWStep {
            lr: config.lr.at(step, config.steps) as f32,
            beta1: config.beta1 as f32,
            beta2: config.beta2 as f32,
            eps: config.eps as f32,
            weight_decay: if is_matrix { config.weight_decay as f32 } else { 0.0 },
            t: step + 1,
            grad_scale: scale as f32,
        };
        let (m, v) = (moments.first.get_mut(id), moments.second.get_mut(id));
        adamw(params, id, scalars, grads, m, v);
    }
}
