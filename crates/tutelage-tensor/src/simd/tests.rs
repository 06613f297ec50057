//! Row primitives against f64.

use super::instructions::Instructions;
use super::isa::SimdTask;
use super::*;

fn available() -> Vec<Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.ready().is_ok()).collect()
}

fn wave(n: usize, scale: f32) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 % 1009) as f32 / 504.5 - 1.0) * scale).collect()
}

#[test]
fn exp_agrees_with_f64() {
    struct All<'a>(&'a [f32]);
    impl SimdTask for All<'_> {
        type Output = Vec<f32>;
        #[inline(always)]
        fn run<I: Instructions>(self) -> Vec<f32> {
            self.0.iter().map(|&x| exp::<I>(x)).collect()
        }
    }
    let xs: Vec<f32> = (-8700..=8800).map(|i| i as f32 / 100.0).collect();
    for isa in available() {
        for (&x, y) in xs.iter().zip(isa.run(All(&xs))) {
            let exact = f64::from(x).exp();
            let error = ((f64::from(y) - exact) / exact).abs();
            assert!(error < 4e-7, "{isa}: exp({x}) = {y}, exact {exact}, relative error {error}");
        }
        assert_eq!(isa.run(All(&[-200.0, f32::NEG_INFINITY])), [0.0, 0.0]);
    }
}

#[test]
fn rows_agree_with_f64() {
    for isa in available() {
        let math = RowMath::new(isa);
        for n in [1, 5, 16, 33, 1000, 2500] {
            let row = wave(n, 9.0);
            for scale in [1.0f32, 0.5, 2.0] {
                let exact = row.iter().map(|&x| f64::from(x * scale).exp()).sum::<f64>().ln();
                let lse = math.log_sum_exp(&row, scale);
                assert!((f64::from(lse) - exact).abs() < 1e-5, "{isa} n {n}: {lse} {exact}");
                let mut soft = row.clone();
                math.softmax(&mut soft, scale);
                for (&x, &p) in row.iter().zip(&soft) {
                    let exact = (f64::from(x * scale) - exact).exp();
                    assert!((f64::from(p) - exact).abs() < 1e-6);
                }
            }
            let other = wave(n, 0.3);
            let exact: f64 = row.iter().zip(&other).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            assert!((f64::from(math.dot(&row, &other)) - exact).abs() < 1e-3);
        }
    }
}

#[test]
fn differences_of_softmaxes_agree_with_f64() {
    for isa in available() {
        for n in [7, 1024, 2500] {
            let (a, b) = (wave(n, 9.0), wave(n, -4.0));
            let pair = SoftmaxPair { scale_a: 1.0, scale_b: 0.5, weight_a: 0.7, weight_b: 0.2 };
            let exact = |row: &[f32], scale: f64| {
                let sum: f64 = row.iter().map(|&x| (scale * f64::from(x)).exp()).sum();
                (sum.ln(), row.iter().map(|&x| (scale * f64::from(x)).exp() / sum).collect::<Vec<f64>>())
            };
            let ((lse_a, p_a), (lse_b, p_b)) = (exact(&a, 1.0), exact(&b, 0.5));
            let (mut difference, mut other) = (a.clone(), b.clone());
            let sums = RowMath::new(isa).softmax_difference(&mut difference, &mut other, pair, true);
            let dot = |row: &[f32]| p_b.iter().zip(row).map(|(p, &x)| p * f64::from(x)).sum::<f64>();
            let found = [sums.lse_a, sums.lse_b, sums.b_dot_b, sums.b_dot_a];
            for (found, exact) in found.into_iter().zip([lse_a, lse_b, dot(&b), dot(&a)]) {
                assert!((f64::from(found) - exact).abs() < 2e-5, "{isa} n {n}: {found} {exact}");
            }
            for (i, &x) in difference.iter().enumerate() {
                assert!((f64::from(x) - (0.7 * p_a[i] - 0.2 * p_b[i])).abs() < 1e-6, "{isa} n {n} at {i}");
            }
        }
    }
}

#[test]
fn block_product_agrees_with_loops() {
    for isa in available() {
        for (m, n, k) in [(1, 1, 1), (6, 32, 8), (7, 33, 5), (64, 64, 64), (13, 70, 9), (12, 16, 7)] {
            let a = wave(m * k, 1.0);
            let b = wave(k * n, 1.0);
            for transposed in [false, true] {
                let (row_stride, column_stride) = if transposed { (1, m) } else { (k, 1) };
                let mut c = wave(m * n, 0.5);
                let before = c.clone();
                BlockProduct {
                    m,
                    n,
                    k,
                    a: Strided { data: &a, row_stride, column_stride },
                    b: &b,
                    ldb: n,
                    c: &mut c,
                    ldc: n,
                    accumulate: true,
                }
                .compute(isa);
                for i in 0..m {
                    for j in 0..n {
                        let sum: f32 = (0..k).map(|p| a[i * row_stride + p * column_stride] * b[p * n + j]).sum();
                        let expected = before[i * n + j] + sum;
                        assert!((c[i * n + j] - expected).abs() < 1e-4, "{isa} {m}x{n}x{k} at {i},{j}");
                    }
                }
            }
        }
    }
}

#[test]
fn ln_agrees_with_f64() {
    struct All<'a>(&'a [f32]);
    impl SimdTask for All<'_> {
        type Output = Vec<f32>;
        #[inline(always)]
        fn run<I: Instructions>(self) -> Vec<f32> {
            self.0.iter().map(|&x| ln::<I>(x)).collect()
        }
    }
    let mut xs: Vec<f32> = (-870..=880).map(|i| (f64::from(i) / 10.0).exp() as f32).collect();
    xs.extend((1..4000).map(|i| i as f32 / 2000.0));
    for isa in available() {
        for (&x, y) in xs.iter().zip(isa.run(All(&xs))) {
            let exact = f64::from(x).ln();
            assert!((f64::from(y) - exact).abs() < 2e-7 * exact.abs().max(1.0), "{isa}: ln({x}) = {y}, exact {exact}");
        }
        for y in isa.run(All(&[0.0, -1.0, 1e-40, f32::MIN_POSITIVE])) {
            assert!((y - Entry::LOWEST).abs() < 1e-5);
        }
    }
}

#[test]
fn distances_and_their_gradients_agree_with_f64() {
    /// `q (log q - log t)`: its derivative with respect to `log q` is that plus `q`.
    #[derive(Clone, Copy)]
    struct Reverse;
    impl Pointwise for Reverse {
        #[inline(always)]
        fn at<I: Instructions>(self, e: Entry) -> [f32; 2] {
            let value = e.q * (e.log_q - e.log_t);
            [value, value + e.q]
        }
    }
    for isa in available() {
        let math = RowMath::new(isa);
        for n in [1, 5, 16, 33, 2500] {
            let (a, b) = (wave(n, 5.0), wave(n + 3, 4.0)[3..].to_vec());
            let (scale_a, scale_b) = (0.5f32, 0.25f32);
            let log_softmax = |row: &[f32], scale: f32| -> Vec<f64> {
                let lse = row.iter().map(|&x| f64::from(x * scale).exp()).sum::<f64>().ln();
                row.iter().map(|&x| f64::from(x * scale) - lse).collect()
            };
            let (log_q, log_t) = (log_softmax(&a, scale_a), log_softmax(&b, scale_b));
            let value: f64 = log_q.iter().zip(&log_t).map(|(q, t)| q.exp() * (q - t)).sum();
            let (mut x, mut y) = (a.clone(), b.clone());
            let lse = [math.log_sum_exp(&x, scale_a), math.log_sum_exp(&y, scale_b)];
            let q = Softmax { logits: &mut x, scale: scale_a, lse: lse[0] };
            let t = Softmax { logits: &mut y, scale: scale_b, lse: lse[1] };
            let found = math.pointwise(Reverse, q, t, Some(Shares { distance: 3.0, q: 0.5 }));
            assert!((found - value).abs() < 1e-5, "{isa} n {n}: {found} {value}");
            for (i, &x) in x.iter().enumerate() {
                let exact = log_q[i].exp() * (3.0 * (log_q[i] - log_t[i] - value) + 0.5);
                assert!((f64::from(x) - exact).abs() < 1e-5, "{isa} n {n}: {x} {exact}");
            }
            let sums = math.pair_sums(&a, 0.0, &b);
            let t = log_softmax(&b, 1.0);
            let dot = |row: &[f32]| row.iter().zip(&t).map(|(&x, t)| f64::from(x) * t.exp()).sum::<f64>();
            assert!(
                (f64::from(sums.b_dot_a) - dot(&a)).abs() < 1e-5 && (f64::from(sums.b_dot_b) - dot(&b)).abs() < 1e-5
            );
            assert!((f64::from(sums.lse_b) - (f64::from(b[0]) - t[0])).abs() < 1e-5);
            let mean = a.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64;
            let squares = a.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n as f64;
            let (found_mean, deviation) = math.deviation(&a);
            assert!(
                (f64::from(found_mean) - mean).abs() < 1e-5 && (f64::from(deviation) - squares.sqrt()).abs() < 1e-5
            );
            assert_eq!(math.largest(&a), a.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}
