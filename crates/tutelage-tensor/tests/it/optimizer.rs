//! AdamW and the gradient norm against their references.

use tutelage_tensor::kernels::adamw::{AdamWStep, adamw, reference, sum_of_squares};
use tutelage_testkit::{assert_close, wave};

use crate::support::{devices, narrow, wide};

#[test]
fn three_steps_agree() {
    let n = 20_000;
    for device in devices() {
        let w = narrow(&wave(n, 1, 1.0));
        let (mut fast, mut m, mut v) = (w.clone(), vec![0.0; n], vec![0.0; n]);
        let mut slow: Vec<(f64, f64, f64)> = w.iter().map(|&w| (f64::from(w), 0.0, 0.0)).collect();
        for t in 1..=3u64 {
            let g = narrow(&wave(n, 10 + t, 0.1));
            let step =
                AdamWStep { lr: 0.01, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, t, grad_scale: 0.5 };
            adamw(&device, step, &mut fast, &g, &mut m, &mut v);
            for (state, &g) in slow.iter_mut().zip(&g) {
                *state = reference::step(*state, f64::from(g) * 0.5, (0.01, 0.9, 0.95, 1e-8, 0.1), t as i32);
            }
        }
        let column = |i: usize| -> Vec<f64> { slow.iter().map(|s| [s.0, s.1, s.2][i]).collect() };
        assert_close("weights", &wide(&fast), &column(0), 2e-6, 1e-5);
        assert_close("first moment", &wide(&m), &column(1), 1e-7, 1e-5);
        assert_close("second moment", &wide(&v), &column(2), 1e-9, 1e-5);
        let sum: f64 = w.iter().map(|&x| f64::from(x).powi(2)).sum();
        assert_close("norm", &[sum_of_squares(&device, &w)], &[sum], 0.0, 1e-12);
    }
}
