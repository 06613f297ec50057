//! The feed-forward on tiles (AMX), in bf16.
//!
//! A tile of the first product holds 16 columns of the gate and the same 16 of the other branch, so its epilogue
//! writes the gated unit. What the way back needs of them is kept side by side: `gate_up[t, 2 d_ff]`, 16 of the gate,
//! 16 of the other branch, and so on. The epilogue of the unit's gradient reads them where it is computed.

use std::arch::x86_64::*;

use half::bf16;

use super::super::linear::cpu as linear;
use super::super::swiglu::cpu::{gradient_lanes, lanes};
use super::FeedForward;
use crate::device::DisjointOut;
use crate::matmul::epilogue::{At, Epilogue, WriteBf16, fence, rounded};
use crate::matmul::{LeftRows, PackedRhs, Panels, Term, tile_product};
use crate::simd::{Avx512Bf16, Instructions, LANES, prefetch_lines};
use crate::tape::{Backward, Node};
use crate::{Buffer, DType, Device, Isa, ParamId, Params, Tape, Tensor, Var};

/// Whether the products run on tiles, and `d_ff` divides into their columns.
pub(super) fn suits(params: &Params, weights: FeedForward, x: &Var) -> bool {
    params.device().isa() == Isa::Amx
        && !params.is_quantized()
        && x.value().dtype() == DType::Bf16
        && params.get(weights.w1).shape()[0].is_multiple_of(2 * LANES)
}

pub(super) fn record(tape: &mut Tape<'_>, x: &Var, weights: FeedForward, residual: Option<&Var>) -> Var {
    let params = tape.params();
    let device = params.device();
    let (t, _) = x.value().dims2();
    let d_ff = params.get(weights.w1).shape()[0];
    let mut h: Buffer<bf16> = device.buffer(t * d_ff);
    let mut gate_up = tape.records().then(|| device.buffer::<bf16>(2 * t * d_ff));
    let right = Panels::pair(params.forward_rhs(weights.w1).packed(), params.forward_rhs(weights.w3).packed());
    device.timed("feed-forward, gated", || {
        let left = left(device, x.value());
        let terms = [Term { left: &left, right }];
        let gate_up = gate_up.as_deref_mut().map(DisjointOut::new);
        tile_product(device, t, &terms, &Gated { h: DisjointOut::new(&mut h), gate_up, d_ff });
    });
    let h = Tensor::new([t, d_ff], h);
    let from = residual.map(Var::value);
    let value = device.timed("feed-forward, out", || linear::forward_add(params, weights.w2, &h, from));
    tape.record(value, || {
        let nodes = (x.node(), residual.and_then(Var::node));
        Box::new(FeedForwardNode { x: x.value().clone(), gate_up, h, weights, nodes })
    })
}

struct FeedForwardNode {
    x: Tensor,
    gate_up: Option<Buffer<bf16>>,
    h: Tensor,
    weights: FeedForward,
    nodes: (Option<usize>, Option<usize>),
}

impl<'p> Node<'p> for FeedForwardNode {
    fn backward(self: Box<Self>, grad: Tensor, cx: &mut Backward<'_, 'p>) {
        let (params, device) = (cx.params, cx.params.device());
        let Self { x, gate_up, h, weights: w, nodes } = *self;
        let ((t, d_model), (_, d_ff)) = (x.dims2(), h.dims2());
        let dy = device.timed("gradient rounding", || linear::as_activation(params, &grad));
        cx.add(nodes.1, grad);
        let mut weight_gradient = |id: ParamId, grad: &[bf16], x: &PackedRhs, n: usize| {
            if let Some(dw) = cx.grads.out(id) {
                device.timed("feed-forward, weight gradient", || {
                    linear::weight_gradient_packed(device, (grad, n), x, dw);
                });
            }
        };
        // Packed for gradients of weights alone.
        let packed = |n: usize, rows: &Tensor, ids: &[ParamId]| {
            let learns = ids.iter().any(|&id| !params.get(id).is_fixed());
            let pack = || PackedRhs::from_rows_kn(device, n, t, rows.slice::<bf16>());
            learns.then(|| device.timed("activation packing", pack))
        };
        let packed_h = packed(d_ff, &h, &[w.w2]);
        drop(h);
        if let Some(packed_h) = packed_h {
            weight_gradient(w.w2, dy.slice(), &packed_h, d_model);
        }
        let (mut dgate, mut dup) = (device.buffer::<bf16>(t * d_ff), device.buffer::<bf16>(t * d_ff));
        let right = Panels::of(params.backward_rhs(w.w2).packed());
        device.timed("feed-forward, gated gradient", || {
            let Some(gate_up) = &gate_up else { unreachable!("a node exists only where it was recorded") };
            let (dgate, dup) = (DisjointOut::new(&mut dgate), DisjointOut::new(&mut dup));
            let left = left(device, &dy);
            tile_product(device, t, &[Term { left: &left, right }], &GatedGradient { gate_up, dgate, dup, d_ff });
        });
        drop((gate_up, dy));
        if let Some(packed_x) = packed(d_model, &x, &[w.w1, w.w3]) {
            weight_gradient(w.w1, &dgate, &packed_x, d_ff);
            weight_gradient(w.w3, &dup, &packed_x, d_ff);
        }
        if nodes.0.is_none() {
            return;
        }
        let mut dx = device.buffer::<bf16>(t * d_model);
        let right = [w.w1, w.w3].map(|id| Panels::of(params.backward_rhs(id).packed()));
        device.timed("feed-forward, input gradient", || {
            let left = [&dgate, &dup].map(|rows| LeftRows::new(device, t, d_ff, rows));
            let terms = [Term { left: &left[0], right: right[0] }, Term { left: &left[1], right: right[1] }];
            tile_product(device, t, &terms, &WriteBf16 { out: DisjointOut::new(&mut dx), n: d_model });
        });
        cx.add(nodes.0, Tensor::new([t, d_model], dx));
    }
}

fn left<'a>(device: &Device, x: &'a Tensor) -> LeftRows<'a> {
    let (t, k) = x.dims2();
    LeftRows::new(device, t, k, x.slice())
}

/// Takes 16 columns of the gate and of the other branch; both are rounded before the unit is computed.
struct Gated<'a> {
    h: DisjointOut<'a, bf16>,
    gate_up: Option<DisjointOut<'a, bf16>>,
    d_ff: usize,
}
impl Epilogue for Gated<'_> {
    #[inline(always)]
    unsafe fn row(&self, at: At, [gate, up]: [__m512; 2]) {
        // SAFETY: the caller's promise; a tile of this product is 16 columns of `h` and 32 of `gate_up`, a line of it
        // (buffers begin on lines, and rows are whole ones: see `suits`).
        unsafe {
            let both = rounded(gate, up);
            if let Some(gate_up) = &self.gate_up {
                _mm512_stream_si512(gate_up.pointer().add(at.row * 2 * self.d_ff + at.column).cast(), both);
            }
            let (gate, up) = widened(both);
            let h = Avx512Bf16::round(lanes::<Avx512Bf16>(gate, up));
            self.h.pointer().add(at.row * self.d_ff + at.column / 2).cast::<[bf16; LANES]>().write_unaligned(h);
        }
    }

    #[inline(always)]
    fn fetch(&self, row: usize, column: usize) {
        prefetch_lines(self.h.pointer().wrapping_add(row * self.d_ff + column / 2), 1);
    }

    fn finish(&self) {
        fence();
    }
}

/// Takes 32 columns of the unit's gradient, writes those of the gate's and the other branch's.
struct GatedGradient<'a> {
    gate_up: &'a [bf16],
    dgate: DisjointOut<'a, bf16>,
    dup: DisjointOut<'a, bf16>,
    d_ff: usize,
}
impl Epilogue for GatedGradient<'_> {
    #[inline(always)]
    unsafe fn row(&self, at: At, dh: [__m512; 2]) {
        // SAFETY: the caller's promise; 32 columns of `h` are 64 of `gate_up`.
        unsafe {
            let from = self.gate_up.as_ptr().add(2 * (at.row * self.d_ff + at.column));
            // A loop, not a closure: that would be compiled without the instructions.
            let (mut dgate, mut dup) = ([_mm512_setzero_ps(); 2], [_mm512_setzero_ps(); 2]);
            for half in 0..2 {
                let (gate, up) = widened(_mm512_loadu_si512(from.add(32 * half).cast()));
                let dh: [f32; LANES] = std::mem::transmute(dh[half]);
                let (a, b) = gradient_lanes::<Avx512Bf16>(gate, up, dh);
                dgate[half] = std::mem::transmute::<[f32; LANES], __m512>(a);
                dup[half] = std::mem::transmute::<[f32; LANES], __m512>(b);
            }
            let to = at.row * self.d_ff + at.column;
            for (out, [a, b]) in [(&self.dgate, dgate), (&self.dup, dup)] {
                _mm512_storeu_si512(out.pointer().add(to).cast(), rounded(a, b));
            }
        }
    }

    #[inline(always)]
    fn fetch(&self, row: usize, column: usize) {
        prefetch_lines(self.gate_up.as_ptr().wrapping_add(2 * (row * self.d_ff + column)), 2);
        for out in [&self.dgate, &self.dup] {
            prefetch_lines(out.pointer().wrapping_add(row * self.d_ff + column), 1);
        }
    }
}

/// 32 of bf16 as twice 16 of f32.
#[inline(always)]
unsafe fn widened(both: __m512i) -> ([f32; LANES], [f32; LANES]) {
    // SAFETY: the caller's promise: AVX-512; vectors and arrays are the same bytes.
    unsafe {
        let low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(both));
        let high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64::<1>(both));
        (
            std::mem::transmute::<__m512i, [f32; LANES]>(_mm512_slli_epi32::<16>(low)),
            std::mem::transmute::<__m512i, [f32; LANES]>(_mm512_slli_epi32::<16>(high)),
        )
    }
}
