//! The three products of a linear layer.

use super::super::by_dtype;
use crate::matmul::{Lhs, Out, PackedRhs, Rhs, matmul, rounded, transposed, widened};
use crate::{Buffer, DType, Device, ParamId, Params, Tensor};

fn lhs(x: &Tensor) -> Lhs<'_> {
    match x.dtype() {
        DType::F32 => Lhs::F32(x.slice()),
        DType::Bf16 => Lhs::Bf16(x.slice()),
    }
}

/// `x W^T` in the type of `x`.
pub(super) fn forward(params: &Params, weight: ParamId, x: &Tensor) -> Tensor {
    let n = params.get(weight).shape()[0];
    product(params.device(), n, x, params.forward_rhs(weight))
}

/// `out += x W^T`, or `out = x W^T`.
pub(crate) fn forward_into(params: &Params, weight: ParamId, x: &Tensor, out: Out<'_>) {
    let n = params.get(weight).shape()[0];
    product_into(params.device(), n, x, params.forward_rhs(weight), out);
}

/// `dy W` in the type of `dy`.
pub(crate) fn input_gradient(params: &Params, weight: ParamId, grad: &Tensor) -> Tensor {
    let k = params.get(weight).shape()[1];
    product(params.device(), k, grad, params.backward_rhs(weight))
}

/// The same into a part of a larger array.
pub(crate) fn input_gradient_into<T: AsOut>(params: &Params, weight: ParamId, grad: &Tensor, out: &mut [T]) {
    let k = params.get(weight).shape()[1];
    product_into(params.device(), k, grad, params.backward_rhs(weight), T::out(out));
}

fn product(device: &Device, n: usize, x: &Tensor, rhs: Rhs<'_>) -> Tensor {
    let (t, _) = x.dims2();
    by_dtype!(x.dtype(), T => {
        let mut out = device.buffer::<T>(t * n);
        product_into(device, n, x, rhs, T::out(&mut out));
        Tensor::new([t, n], out)
    })
}

fn product_into(device: &Device, n: usize, x: &Tensor, rhs: Rhs<'_>, out: Out<'_>) {
    let (t, k) = x.dims2();
    matmul(device, (t, n, k), lhs(x), rhs, out);
}

/// `dw[n, k] (+)= dy[t, n]^T x[t, k]`.
pub(crate) fn weight_gradient(device: &Device, grad: &Tensor, x: &Tensor, dw: Out<'_>) {
    let ((t, n), (t_x, k)) = (grad.dims2(), x.dims2());
    assert_eq!((t, grad.dtype()), (t_x, x.dtype()), "weight gradient: rows and types");
    #[cfg(target_arch = "x86_64")]
    if device.isa() == crate::Isa::Amx && x.dtype() == DType::Bf16 {
        let x = PackedRhs::from_rows_kn(device, k, t, x.slice::<half::bf16>());
        return weight_gradient_packed(device, (grad.slice(), n), &x, dw);
    }
    if x.dtype() == DType::Bf16 && device.isa().has_bf16_products() {
        let grad_nt = transposed(device, t, n, grad.slice::<half::bf16>());
        let packed = PackedRhs::from_rows_kn(device, k, t, x.slice::<half::bf16>());
        return matmul(device, (n, k, t), Lhs::Bf16(&grad_nt), Rhs::Packed(&packed), dw);
    }
    // In f32, where they lie or in a copy.
    let wide = [grad, x].map(|x| (x.dtype() == DType::Bf16).then(|| widened(device, x.slice())));
    let [grad, data] = [(grad, &wide[0]), (x, &wide[1])].map(|(x, wide)| wide.as_deref().unwrap_or_else(|| x.slice()));
    matmul(device, (n, k, t), Lhs::ColumnsF32(grad), Rhs::F32 { data, row_stride: k, column_stride: 1 }, dw);
}

/// The same on tiles, with `x` packed already, for bf16 gradients of `n` columns.
#[cfg(target_arch = "x86_64")]
pub(crate) fn weight_gradient_packed(device: &Device, (grad, n): (&[half::bf16], usize), x: &PackedRhs, dw: Out<'_>) {
    let lhs = Lhs::Columns(grad);
    matmul(device, (n, x.n(), x.k()), lhs, Rhs::Packed(x), dw);
}

/// An f32 gradient in the activations' type.
pub(crate) fn as_activation(params: &Params, grad: &Tensor) -> Tensor {
    match params.precision().activation() {
        DType::F32 => grad.clone(),
        DType::Bf16 => Tensor::new(grad.shape(), rounded(params.device(), grad.slice::<f32>())),
    }
}

/// `residual + x W^T`, or the product alone, f32.
pub(crate) fn forward_add(params: &Params, weight: ParamId, x: &Tensor, residual: Option<&Tensor>) -> Tensor {
    let shape = [x.dims2().0, params.get(weight).shape()[0]];
    let mut out: Buffer<f32> = params.device().buffer(shape[0] * shape[1]);
    let to = match residual {
        Some(residual) => Out::SumF32 { from: residual.slice(), out: &mut out },
        None => Out::F32(&mut out),
    };
    forward_into(params, weight, x, to);
    Tensor::new(shape, out)
}

/// The output variant for a type that a product overwrites.
pub(crate) trait AsOut: Sized {
    fn out(buffer: &mut [Self]) -> Out<'_>;
}
impl AsOut for f32 {
    fn out(buffer: &mut [Self]) -> Out<'_> {
        Out::F32(buffer)
    }
}
impl AsOut for half::bf16 {
    fn out(buffer: &mut [Self]) -> Out<'_> {
        Out::Bf16(buffer)
    }
}
