//! Comparisons inside of two models; `fixtures/features/make.py` writes what they are compared with.

use std::path::Path;
use std::sync::Arc;

use tutelage_loss::features::{FeatureKind, TapKind, attention_kl, learned};
use tutelage_tensor::kernels::attention::kl::{AttentionMaps, Compared, TeacherMaps};
use tutelage_tensor::kernels::attention::{AttentionShape, RopeTable};
use tutelage_tensor::kernels::feature_loss::FeatureObjective;
use tutelage_tensor::{Device, Grads, Isa, Params, Precision, Tape, Tensor};
use tutelage_testkit::{Fixture, assert_close, finite_difference, wave};

const DOCUMENTS: [std::ops::Range<usize>; 3] = [0..9, 9..10, 10..30];

fn fixture() -> Fixture {
    Fixture::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/features/features.safetensors"))
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

fn devices() -> Vec<Device> {
    Isa::ALL.into_iter().filter_map(|isa| Device::cpu(2, isa).ok()).collect()
}

#[test]
fn hidden_states_and_channels_agree_with_pytorch() {
    let (fixture, labels) = (fixture(), fixture().ints("labels"));
    for device in devices() {
        let array = |name: &str| {
            let (shape, values) = fixture.get(name);
            Tensor::from_f32(&device, shape, &narrow(&values))
        };
        for kind in [FeatureKind::HiddenMse, FeatureKind::HiddenCosine, FeatureKind::Channels] {
            let name = kind.name();
            let mut params = Params::new(&device, Precision::F32);
            let w = params.push("w", [8, 6], &narrow(&fixture.get("w").1));
            let segments = kind.tap().segments(&labels, &DOCUMENTS);
            assert_eq!(segments.n(), if kind == FeatureKind::Channels { 2 } else { 21 });
            let mut tape = Tape::training(&params);
            let (x, y) = (tape.leaf(array("x")), tape.leaf(array("y")));
            let target = tape.segment_means(&y, &segments);
            let own = tape.segment_means(&x, &segments);
            let own = tape.linear(&own, w);
            let mean = 1.0 / segments.n() as f32;
            let value = tape.feature_loss(&own, target.value(), &*kind.of_rows(mean, false).unwrap());
            assert_close(name, &[value * f64::from(mean)], &fixture.get(name).1, 1e-6, 1e-6);
            let (zeros, mut grads) = (Tensor::from_f32(&device, [30, 6], &[0.0; 180]), Grads::zeros(&params));
            let leaves = tape.backward(&x, zeros, &mut grads);
            grads.settle();
            let (dx, dw) = (leaves.of(&x).unwrap().to_vec(), grads.get(w));
            assert_close("dx", &wide(&dx), &fixture.get(&format!("{name}.dx")).1, 1e-6, 1e-5);
            assert_close("dw", &wide(dw), &fixture.get(&format!("{name}.dw")).1, 1e-6, 1e-5);
        }
    }
}

#[test]
fn attention_maps_agree_with_pytorch() {
    let (fixture, labels) = (fixture(), fixture().ints("labels"));
    let chosen = learned(&labels);
    let rows = chosen.iter().filter(|chosen| **chosen).count();
    let places: Vec<i32> = DOCUMENTS.iter().flat_map(|rows| 0..rows.len() as i32).collect();
    for device in devices() {
        let maps = |name: &str, n_kv_heads: usize, d_head: usize, theta: f64| AttentionMaps {
            shape: AttentionShape { n_heads: 4, n_kv_heads, d_head, window: None },
            rope: Arc::new(RopeTable::new(d_head, theta, 32)),
            places: places.clone(),
            qkv: Tensor::from_f32(&device, fixture.get(name).0, &narrow(&fixture.get(name).1)),
        };
        let params = Params::new(&device, Precision::F32);
        let teacher = Arc::new(TeacherMaps { parts: vec![(0, maps("other", 1, 8, 500.0))] });
        let divisor = attention_kl::divisor(rows, 4, 1);
        let scale = (1.0 / divisor) as f32;
        let compared = Compared { documents: DOCUMENTS.to_vec().into(), chosen: chosen.clone().into(), scale };
        let mut tape = Tape::training(&params);
        let own = maps("own", 2, 6, 1e4);
        let leaf = tape.leaf(own.qkv.clone());
        let value = tape.attention_kl(&leaf, own, &teacher, &compared) / divisor;
        assert_close("value", &[value], &fixture.get("attention_kl").1, 1e-6, 1e-6);
        let zeros = Tensor::from_f32(&device, leaf.value().shape(), &vec![0.0; 30 * 48]);
        let leaves = tape.backward(&leaf, zeros, &mut Grads::zeros(&params));
        let found = wide(&leaves.of(&leaf).unwrap().to_vec());
        assert_close("dqkv", &found, &fixture.get("attention_kl.down").1, 1e-6, 1e-5);
    }
}

#[test]
fn formulas_are_those_worked_out_by_hand_and_their_gradients_their_differences() {
    // (3 - 1)^2 and (4 - 2)^2; cosine of (3, 4) and (1, 2) is 11 / (5 root 5).
    let by_hand = [(FeatureKind::HiddenMse, 4.0), (FeatureKind::HiddenCosine, 1.0 - 11.0 / (5.0 * 5f64.sqrt()))];
    for (kind, expected) in by_hand {
        let objective = kind.of_rows(0.5, false).unwrap();
        assert_close(kind.name(), &[run(&*objective, &[3.0, 4.0], &[1.0, 2.0]).0], &[expected], 1e-6, 1e-6);
        let (x, y) = (wave(7, 1, 1.0), wave(7, 2, 1.0));
        let naive = |x: &[f64]| match kind {
            FeatureKind::HiddenCosine => {
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                1.0 - dot(x, &y) / (dot(x, x) * dot(&y, &y)).sqrt()
            }
            _ => x.iter().zip(&y).map(|(x, y)| (x - y).powi(2)).sum::<f64>() / 7.0,
        };
        let (value, gradient) = run(&*objective, &x, &y);
        assert_close("value", &[value], &[naive(&x)], 1e-6, 1e-6);
        let half: Vec<f64> = finite_difference(&x, naive).iter().map(|g| 0.5 * g).collect();
        assert_close("gradient", &gradient, &half, 1e-6, 1e-5);
    }
    // A row of zeros has no direction.
    let objective = FeatureKind::HiddenCosine.of_rows(1.0, false).unwrap();
    assert_eq!(run(&*objective, &[0.0, 0.0], &[1.0, 2.0]), (1.0, vec![0.0, 0.0]));
}

/// Value and gradient of one row.
fn run(objective: &dyn FeatureObjective, x: &[f64], y: &[f64]) -> (f64, Vec<f64>) {
    let device = Device::cpu(1, Isa::Portable).unwrap();
    let params = Params::new(&device, Precision::F32);
    let mut tape = Tape::training(&params);
    let rows = |x: &[f64]| Tensor::from_f32(&device, [1, x.len()], &narrow(x));
    let leaf = tape.leaf(rows(x));
    let value = tape.feature_loss(&leaf, &rows(y), objective);
    let leaves = tape.backward(&leaf, rows(&vec![0.0; x.len()]), &mut Grads::zeros(&params));
    (value, wide(&leaves.of(&leaf).unwrap().to_vec()))
}

#[test]
fn a_relative_mean_square_knows_no_scale() {
    let relative = FeatureKind::HiddenMse.of_rows(1.0, true).unwrap();
    // (4 + 4) / (1 + 4).
    assert_close("value", &[run(&*relative, &[3.0, 4.0], &[1.0, 2.0]).0], &[1.6], 1e-6, 1e-6);
    assert_close("scaled", &[run(&*relative, &[300.0, 400.0], &[100.0, 200.0]).0], &[1.6], 1e-6, 1e-6);
    let (x, y) = (wave(7, 1, 1.0), wave(7, 2, 1.0));
    let squares: f64 = y.iter().map(|y| y * y).sum();
    let naive = |x: &[f64]| x.iter().zip(&y).map(|(x, y)| (x - y).powi(2)).sum::<f64>() / squares;
    assert_close("gradient", &run(&*relative, &x, &y).1, &finite_difference(&x, naive), 1e-6, 1e-5);
    // A teacher that says nothing is no scale.
    assert_eq!(run(&*relative, &[3.0, 4.0], &[0.0, 0.0]), (12.5, vec![3.0, 4.0]));
}

#[test]
fn a_batch_without_learned_rows_has_nothing_to_compare() {
    for kind in [TapKind::Rows, TapKind::Means, TapKind::Maps] {
        assert_eq!(kind.segments(&[-1; 30], &DOCUMENTS).n(), 0);
    }
}
