//! Devices and small parameters.

use tutelage_tensor::{Device, Isa, ParamId, Params, Precision, Tensor};

pub(crate) fn device(n_threads: usize) -> Device {
    Device::cpu(n_threads, Isa::detect()).unwrap()
}

/// Every instruction set of this machine.
pub(crate) fn devices() -> Vec<Device> {
    Isa::ALL.into_iter().filter_map(|isa| Device::cpu(2, isa).ok()).collect()
}

pub(crate) fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

pub(crate) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

pub(crate) fn one_param(device: &Device, precision: Precision, shape: &[usize], values: &[f64]) -> (Params, ParamId) {
    let mut params = Params::new(device, precision);
    let id = params.push("w", shape, &narrow(values));
    (params, id)
}

/// An activation of the mode's type.
pub(crate) fn activation(params: &Params, shape: &[usize], values: &[f64]) -> Tensor {
    Tensor::rounded(params.device(), shape, &narrow(values), params.precision().activation())
}

/// What a tensor of the mode's type holds after rounding.
pub(crate) fn rounded(params: &Params, values: &[f64]) -> Vec<f64> {
    wide(&activation(params, &[values.len()], values).to_vec())
}

/// Absolute and relative tolerance of a mode, for values around one.
pub(crate) fn tolerance(precision: Precision) -> (f64, f64) {
    match precision {
        Precision::F32 => (2e-5, 2e-5),
        Precision::Bf16 => (3e-2, 2e-2),
    }
}
