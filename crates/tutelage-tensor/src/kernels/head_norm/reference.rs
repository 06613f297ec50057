//! Naive norms of heads, f64: the reference of RMSNorm, head by head.

use super::heads;
use crate::kernels::attention::AttentionShape;
use crate::kernels::rms_norm;

/// `qkv` with its queries and keys normalised; `weights` of queries and of keys.
pub fn forward(qkv: &[f64], shape: AttentionShape, weights: [&[f64]; 2], eps: f64) -> Vec<f64> {
    let head = |(head, which): (&[f64], Option<usize>)| match which {
        Some(which) => rms_norm::reference::forward(head, weights[which], eps),
        None => head.to_vec(),
    };
    let row = |row: &[f64]| row.chunks(shape.d_head).zip(heads(shape)).flat_map(head).collect::<Vec<_>>();
    qkv.chunks(shape.qkv_width()).flat_map(row).collect()
}

/// `(dqkv, [dqueries, dkeys])`.
pub fn backward(
    qkv: &[f64],
    shape: AttentionShape,
    weights: [&[f64]; 2],
    eps: f64,
    grad: &[f64],
) -> (Vec<f64>, [Vec<f64>; 2]) {
    let (d, width) = (shape.d_head, shape.qkv_width());
    let (mut dqkv, mut dw) = (Vec::new(), [vec![0.0; d], vec![0.0; d]]);
    for (row, grad) in qkv.chunks(width).zip(grad.chunks(width)) {
        for ((head, grad), which) in row.chunks(d).zip(grad.chunks(d)).zip(heads(shape)) {
            let Some(which) = which else {
                dqkv.extend(grad);
                continue;
            };
            let (dx, dw_head) = rms_norm::reference::backward(head, weights[which], eps, grad);
            dqkv.extend(dx);
            dw[which].iter_mut().zip(dw_head).for_each(|(sum, x)| *sum += x);
        }
    }
    (dqkv, dw)
}
