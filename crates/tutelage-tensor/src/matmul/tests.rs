//! Products against naive loops in f64.

use half::bf16;

use super::*;
use crate::{Device, Element, Isa};

fn values(n: usize, seed: usize) -> Vec<bf16> {
    (0..n).map(|i| bf16::from_f32(((i * 31 + seed * 17) % 127) as f32 / 64.0 - 1.0)).collect()
}

fn naive(m: usize, n: usize, k: usize, a: &[bf16], b_nk: &[bf16]) -> Vec<f64> {
    let mut out = vec![0.0; m * n];
    for i in 0..m {
        for j in 0..n {
            out[i * n + j] =
                (0..k).map(|p| f64::from(a[i * k + p].to_f32()) * f64::from(b_nk[j * k + p].to_f32())).sum();
        }
    }
    out
}

fn devices() -> Vec<Device> {
    Isa::ALL.into_iter().filter_map(|isa| Device::cpu(2, isa).ok()).collect()
}

/// The last is longer than what is summed at once.
const SHAPES: [(usize, usize, usize); 9] = [
    (1, 1, 1),
    (2, 16, 2),
    (5, 17, 33),
    (12, 32, 32),
    (32, 64, 64),
    (33, 31, 96),
    (200, 300, 64),
    (13, 48, 7),
    (3, 40, 4200),
];

#[test]
fn packed_products_agree_with_naive_loops_in_both_orientations() {
    for device in devices() {
        for (m, n, k) in SHAPES {
            let (a, b_nk) = (values(m * k, 1), values(n * k, 2));
            let b_kn = transposed(&device, n, k, &b_nk);
            let expected = naive(m, n, k, &a, &b_nk);
            let packed = [PackedRhs::from_rows_nk(&device, n, k, &b_nk), PackedRhs::from_rows_kn(&device, n, k, &b_kn)];
            for rhs in &packed {
                let mut out = vec![f32::NAN; m * n];
                matmul(&device, (m, n, k), Lhs::Bf16(&a), Rhs::Packed(rhs), Out::F32(&mut out));
                check(&device, (m, n, k), &out, &expected, 1e-5);
                let mut sum = vec![1.0f32; m * n];
                matmul(&device, (m, n, k), Lhs::Bf16(&a), Rhs::Packed(rhs), Out::AddF32(&mut sum));
                let plus_one: Vec<f64> = expected.iter().map(|x| x + 1.0).collect();
                check(&device, (m, n, k), &sum, &plus_one, 1e-5);
                let mut rounded = vec![bf16::ZERO; m * n];
                matmul(&device, (m, n, k), Lhs::Bf16(&a), Rhs::Packed(rhs), Out::Bf16(&mut rounded));
                let wide: Vec<f32> = rounded.iter().map(|x| x.to_f32()).collect();
                check(&device, (m, n, k), &wide, &expected, 1e-2);
            }
        }
    }
}

#[test]
fn f32_products_agree_with_naive_loops() {
    for device in devices() {
        for (m, n, k) in SHAPES {
            let (a, b_nk) = (values(m * k, 3), values(n * k, 4));
            let expected = naive(m, n, k, &a, &b_nk);
            let wide = |x: &[bf16]| x.iter().map(|x| x.to_f32()).collect::<Vec<f32>>();
            let (a32, b32) = (wide(&a), wide(&b_nk));
            let rhs = Rhs::F32 { data: &b32, row_stride: 1, column_stride: k };
            for lhs in [Lhs::F32(&a32), Lhs::Bf16(&a)] {
                for rhs in [rhs, Rhs::RowsF32(&b32)] {
                    let mut out = vec![f32::NAN; m * n];
                    matmul(&device, (m, n, k), lhs, rhs, Out::F32(&mut out));
                    check(&device, (m, n, k), &out, &expected, 1e-5);
                }
            }
            // To other outputs.
            let (ones, rhs) = (vec![1.0; m * n], Rhs::RowsF32(&b32));
            let plus_one: Vec<f64> = expected.iter().map(|x| x + 1.0).collect();
            let (mut added, mut sum) = (ones.clone(), vec![f32::NAN; m * n]);
            matmul(&device, (m, n, k), Lhs::F32(&a32), rhs, Out::AddF32(&mut added));
            matmul(&device, (m, n, k), Lhs::F32(&a32), rhs, Out::SumF32 { from: &ones, out: &mut sum });
            let mut rounded = vec![bf16::ZERO; m * n];
            matmul(&device, (m, n, k), Lhs::F32(&a32), rhs, Out::Bf16(&mut rounded));
            check(&device, (m, n, k), &added, &plus_one, 1e-5);
            check(&device, (m, n, k), &sum, &plus_one, 1e-5);
            check(&device, (m, n, k), &wide(&rounded), &expected, 1e-2);
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let (m, n, k) = (500, 700, 128);
    let (a, b) = (values(m * k, 5), values(n * k, 6));
    for isa in Isa::ALL {
        let results: Vec<Vec<f32>> = [1, 2, 5]
            .into_iter()
            .filter_map(|threads| Device::cpu(threads, isa).ok())
            .map(|device| {
                let rhs = PackedRhs::from_rows_nk(&device, n, k, &b);
                let mut out = vec![0.0; m * n];
                matmul(&device, (m, n, k), Lhs::Bf16(&a), Rhs::Packed(&rhs), Out::F32(&mut out));
                out
            })
            .collect();
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{isa}");
    }
}

#[test]
fn large_outputs_and_operands_give_the_same_bits() {
    // 68 MB of output, written past the caches, and a right operand that is fetched ahead.
    let (m, n, k) = (260, 65_536, 66);
    let (a, b) = (values(m * k, 7), values(n * k, 8));
    let device = Device::cpu(2, Isa::detect()).unwrap();
    let rhs = PackedRhs::from_rows_nk(&device, n, k, &b);
    let (mut written, mut added) = (device.buffer::<f32>(m * n), device.zeros::<f32>(m * n));
    matmul(&device, (m, n, k), Lhs::Bf16(&a), Rhs::Packed(&rhs), Out::F32(&mut written));
    matmul(&device, (m, n, k), Lhs::Bf16(&a), Rhs::Packed(&rhs), Out::AddF32(&mut added));
    assert!(written[..] == added[..]);
    let last = naive(1, 32, k, &a[(m - 1) * k..], &b[(n - 32) * k..]);
    check(&device, (1, 32, k), &written[m * n - 32..], &last, 1e-5);
}

#[test]
fn sums_of_nothing_are_zero() {
    for device in devices() {
        let rhs = PackedRhs::from_rows_nk::<bf16>(&device, 40, 0, &[]);
        let mut out = vec![f32::NAN; 3 * 40];
        matmul(&device, (3, 40, 0), Lhs::Bf16(&[]), Rhs::Packed(&rhs), Out::F32(&mut out));
        assert!(out.iter().all(|&x| x == 0.0), "{device:?}");
    }
}

#[test]
fn rounding_is_to_nearest_even() {
    for x in [0.0f32, 1.0, -1.003_906_2, 1.003_906_3, 3.0e38, f32::MAX, f32::INFINITY, 1e-40, -2.5e-3] {
        assert_eq!(<bf16 as Element>::from_f32(x).to_bits(), bf16::from_f32(x).to_bits(), "{x}");
    }
    assert!(<bf16 as Element>::from_f32(f32::NAN).is_nan());
}

fn check(device: &Device, shape: (usize, usize, usize), out: &[f32], expected: &[f64], tolerance: f64) {
    for (i, (&x, &y)) in out.iter().zip(expected).enumerate() {
        let error = (f64::from(x) - y).abs();
        assert!(error <= tolerance * (1.0 + y.abs()), "{device:?} {shape:?} at {i}: {x}, expected {y}");
    }
}
