//! Quantised products against naive loops over the widened weights, and what quantising costs.

use half::bf16;

use super::*;
use crate::Isa;
use crate::matmul::{Lhs, Out, Rhs, matmul};

fn values(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| (((i * 31 + seed * 17 + i * i % 23) % 127) as f32 / 64.0 - 1.0) * (1.0 + (i % 5) as f32)).collect()
}

/// The weights as they are after quantising, by the plain loops.
fn widened(b: &QuantizedRhs) -> Vec<f64> {
    let width = if b.layout == Layout::Tiles { PANEL } else { 1 };
    let mut out = vec![0.0; b.n * b.k];
    let mut block = vec![0.0f32; width * GROUP];
    for at in 0..b.n.div_ceil(width) * b.groups() {
        b.widen_block(at, &mut block);
        let (first, group) = (at / b.groups() * width, at % b.groups());
        for column in first..(first + width).min(b.n) {
            for p in 0..GROUP.min(b.k - group * GROUP) {
                out[column * b.k + group * GROUP + p] = f64::from(block[position(width, column - first, p)]);
            }
        }
    }
    out
}

/// A row of activations as bytes have it: in groups, each with a scale.
fn in_bytes(row: &[bf16]) -> Vec<f64> {
    let in_group = |group: &[bf16]| {
        let largest = group.iter().map(|x| x.to_f32().abs()).fold(0.0f32, f32::max);
        let code = |x: &bf16| (x.to_f32() * (127.0 / largest.max(f32::MIN_POSITIVE))).round_ties_even();
        group.iter().map(|x| f64::from(code(x)) * f64::from(largest / 127.0)).collect::<Vec<_>>()
    };
    row.chunks(GROUP).flat_map(in_group).collect()
}

#[test]
fn products_agree_with_naive_loops_and_rows_do_not_depend_on_others() {
    for isa in Isa::ALL {
        let Ok(device) = Device::cpu(2, isa) else { continue };
        for bits in [Bits::Four, Bits::Eight] {
            for (m, n, k) in [(1, 1, 1), (1, 40, 96), (5, 17, 33), (13, 64, 64), (200, 48, 70), (3, 33, 1000)] {
                let (a, b) = (values(m * k, 1), values(n * k, 2));
                let a: Vec<bf16> = a.iter().map(|&x| bf16::from_f32(x)).collect();
                let quantized = QuantizedRhs::from_rows_nk(&device, (n, k), &b, bits);
                let wide = widened(&quantized);
                let mut out = vec![f32::NAN; m * n];
                matmul(&device, (m, n, k), Lhs::Bf16(&a), Rhs::Quantized(&quantized), Out::F32(&mut out));
                let rows: Vec<f64> = match quantized.layout {
                    Layout::Tiles => a.chunks(k).flat_map(in_bytes).collect(),
                    Layout::Rows => a.iter().map(|x| f64::from(x.to_f32())).collect(),
                };
                for (i, found) in out.iter().enumerate() {
                    let (row, column) = (i / n, i % n);
                    let terms = (0..k).map(|p| rows[row * k + p] * wide[column * k + p]);
                    let (sum, size) = terms.fold((0.0, 1e-6), |(sum, size), term| (sum + term, size + term.abs()));
                    let worst = 1e-5 * size;
                    assert!((f64::from(*found) - sum).abs() < worst, "{isa} {bits:?} {m}x{n}x{k}: {found} {sum}");
                }
                let mut alone = vec![f32::NAN; n];
                matmul(
                    &device,
                    (1, n, k),
                    Lhs::Bf16(&a[(m - 1) * k..]),
                    Rhs::Quantized(&quantized),
                    Out::F32(&mut alone),
                );
                assert_eq!(alone, out[(m - 1) * n..], "{isa} {bits:?} {m}x{n}x{k}");
            }
        }
    }
}

#[test]
fn errors_are_as_small_as_the_codes_allow() {
    let device = Device::cpu(1, Isa::Portable).unwrap();
    let weights = values(64 * 320, 5);
    let error = |bits| {
        let quantized = QuantizedRhs::from_rows_nk(&device, (64, 320), &weights, bits);
        let wide = widened(&quantized);
        let groups = weights.chunks(GROUP).zip(wide.chunks(GROUP));
        for (own, found) in groups {
            let (min, max) = own.iter().fold((0.0f32, 0.0f32), |(min, max), &w| (min.min(w), max.max(w)));
            let step = match bits {
                Bits::Eight => f64::from(max.max(-min)) / 127.0,
                Bits::Four => f64::from(max - min) / 15.0,
            };
            // Half a step, the scale's own rounding over all codes, and what is cut off for a finer scale.
            let bound = if bits == Bits::Eight { 0.51 + 127.0 / 256.0 } else { 2.1 };
            let worst = own.iter().zip(found).map(|(w, f)| (f64::from(*w) - f).abs()).fold(0.0, f64::max);
            assert!(worst <= bound * step + 1e-9, "{bits:?}: {worst} of steps of {step}");
        }
        let squares: f64 = weights.iter().zip(&wide).map(|(w, f)| (f64::from(*w) - f).powi(2)).sum();
        let size: f64 = weights.iter().map(|w| f64::from(*w).powi(2)).sum();
        (squares / size).sqrt()
    };
    let (four, eight) = (error(Bits::Four), error(Bits::Eight));
    assert!(eight < 0.01 && four < 0.1 && eight < four / 5.0, "relative errors {eight} and {four}");
    // Equal weights and zeros are exact, as far as bf16 has them.
    for bits in [Bits::Four, Bits::Eight] {
        let quantized = QuantizedRhs::from_rows_nk(&device, (1, 64), &[[0.0; 32], [0.5; 32]].concat(), bits);
        assert!(
            widened(&quantized).iter().zip([0.0, 0.5].iter().flat_map(|x| [*x; 32])).all(|(a, b)| (a - b).abs() < 2e-3)
        );
    }
}
