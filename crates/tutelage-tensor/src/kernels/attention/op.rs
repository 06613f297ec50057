//! Attention on the tape.

use std::ops::Range;
use std::sync::Arc;

use super::super::by_dtype;
use super::forward::Inputs;
use super::{AttentionShape, RopeTable, backward, forward};
use crate::tape::{Backward, Node};
use crate::{Buffer, Device, Element, Tape, Tensor, Var};

/// Largest head the block buffers hold.
pub(super) const MAX_D_HEAD: usize = 256;

struct Attention {
    shape: AttentionShape,
    rope: Arc<RopeTable>,
    positions: Vec<i32>,
    documents: Vec<Range<usize>>,
    qkv: Tensor,
    node: Option<usize>,
    out: Tensor,
    lse: Buffer<f32>,
}

impl<'p> Node<'p> for Attention {
    fn backward(self: Box<Self>, grad: Tensor, cx: &mut Backward<'_, 'p>) {
        let device = cx.params.device();
        let dqkv = by_dtype!(grad.dtype(), T => {
            let inputs = Inputs::<T> {
                shape: self.shape,
                rope: &self.rope,
                positions: &self.positions,
                documents: &self.documents,
                qkv: self.qkv.slice(),
            };
            // Rows outside every document have no gradient.
            let mut dqkv = device.zeros::<T>(inputs.qkv.len());
            device.timed("attention backward", || {
                T::backward(device, &inputs, (self.out.slice(), &self.lse), grad.slice(), &mut dqkv);
            });
            Tensor::new(self.qkv.shape(), dqkv)
        });
        cx.add(self.node, dqkv);
    }
}

/// Which kernels a type of activations has.
trait Kernels: Element {
    fn forward(device: &Device, inputs: &Inputs<'_, Self>, out: &mut [Self], lse: &mut [f32]) {
        forward::forward(device, inputs, out, lse);
    }

    fn backward(
        device: &Device,
        inputs: &Inputs<'_, Self>,
        (out, lse): (&[Self], &[f32]),
        grad: &[Self],
        dqkv: &mut [Self],
    ) {
        backward::backward(device, inputs, (out, lse), grad, dqkv);
    }
}

impl Kernels for f32 {}

impl Kernels for half::bf16 {
    #[cfg(target_arch = "x86_64")]
    fn forward(device: &Device, inputs: &Inputs<'_, Self>, out: &mut [Self], lse: &mut [f32]) {
        match device.isa() {
            crate::Isa::Amx => super::tiles::forward(device, inputs, out, lse),
            _ => forward::forward(device, inputs, out, lse),
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn backward(
        device: &Device,
        inputs: &Inputs<'_, Self>,
        (out, lse): (&[Self], &[f32]),
        grad: &[Self],
        dqkv: &mut [Self],
    ) {
        match device.isa() {
            crate::Isa::Amx => super::tiles::backward(device, inputs, (out, lse), grad, dqkv),
            _ => backward::backward(device, inputs, (out, lse), grad, dqkv),
        }
    }
}

impl Tape<'_> {
    /// Causal attention inside each document of the packed rows; activations
    /// `[t, qkv_width]` (see [`AttentionShape`]) -> `[t, n_heads * d_head]`.
    ///
    /// `documents` are disjoint ranges of rows; rows in none of them give zeros.
    ///
    /// # Panics
    /// When a head is larger than 256, or a position is outside the rotary table.
    pub fn attention(
        &mut self,
        qkv: &Var,
        shape: AttentionShape,
        rope: &Arc<RopeTable>,
        positions: &[i32],
        documents: &[Range<usize>],
    ) -> Var {
        let (t, width) = qkv.value().dims2();
        assert_eq!((t, width), (positions.len(), shape.qkv_width()), "attention: rows and columns of qkv");
        assert!(shape.d_head <= MAX_D_HEAD, "heads of {} exceed {MAX_D_HEAD}", shape.d_head);
        let device = self.device();
        let mut lse = device.zeros(shape.n_heads * t);
        let value = by_dtype!(qkv.value().dtype(), T => {
            let mut out = device.zeros::<T>(t * shape.out_width());
            let inputs = Inputs { shape, rope, positions, documents, qkv: qkv.value().slice::<T>() };
            device.timed("attention", || T::forward(device, &inputs, &mut out, &mut lse));
            Tensor::new([t, shape.out_width()], out)
        });
        let node = |out| Attention {
            shape,
            rope: Arc::clone(rope),
            positions: positions.to_vec(),
            documents: documents.to_vec(),
            qkv: qkv.value().clone(),
            node: qkv.node(),
            out,
            lse,
        };
        self.record(value.clone(), || Box::new(node(value)))
    }
}
