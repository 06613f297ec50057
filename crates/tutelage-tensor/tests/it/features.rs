//! Losses in the middle of the tape: distance of attention maps, means of rows, rows of features.

use std::ops::Range;
use std::sync::Arc;

use tutelage_tensor::kernels::attention::kl::{AttentionMaps, Compared, TeacherMaps, reference::kl};
use tutelage_tensor::kernels::attention::{AttentionShape, RopeTable, reference::Inputs};
use tutelage_tensor::kernels::feature_loss::FeatureObjective;
use tutelage_tensor::kernels::segment_means::{Segments, reference};
use tutelage_tensor::simd::RowMath;
use tutelage_tensor::{Device, Grads, Params, Precision, Tape, Var};
use tutelage_testkit::{assert_close, finite_difference, wave};

use crate::support::{activation, device, devices, narrow, rounded, tolerance, wide};

/// A student and a teacher over the same packed documents.
struct Case {
    student: AttentionShape,
    teacher: AttentionShape,
    positions: Vec<i32>,
    documents: Vec<Range<usize>>,
    chosen: Vec<bool>,
}

const THETAS: (f64, f64) = (1e4, 500.0);

impl Case {
    fn new(lengths: &[usize], windows: (Option<usize>, Option<usize>)) -> Self {
        let ends = lengths.iter().scan(0, |end, len| {
            *end += len;
            Some(*end)
        });
        let documents: Vec<_> = ends.zip(lengths).map(|(end, len)| end - len..end).collect();
        let positions: Vec<i32> = lengths.iter().flat_map(|&len| 0..len as i32).collect();
        Self {
            student: AttentionShape { n_heads: 4, n_kv_heads: 2, d_head: 8, window: windows.0 },
            teacher: AttentionShape { n_heads: 4, n_kv_heads: 1, d_head: 12, window: windows.1 },
            chosen: (0..positions.len()).map(|row| row % 5 != 3).collect(),
            positions,
            documents,
        }
    }

    fn reference(&self, qkv: &[f64], teacher_qkv: &[f64]) -> (f64, Vec<f64>) {
        let inputs = |shape: AttentionShape, theta| Inputs {
            shape,
            theta,
            d_rotary: shape.d_head,
            positions: &self.positions,
            documents: &self.documents,
        };
        let (student, teacher) = (inputs(self.student, THETAS.0), inputs(self.teacher, THETAS.1));
        kl(&student, qkv, &teacher, teacher_qkv, &self.chosen)
    }

    fn arrays(&self) -> (Vec<f64>, Vec<f64>) {
        let t = self.positions.len();
        (wave(t * self.student.qkv_width(), 1, 2.0), wave(t * self.teacher.qkv_width(), 2, 2.0))
    }

    /// The value, and the gradient times `scale`; the teacher's rows go through it in parts that begin at these documents.
    fn run(&self, device: &Device, precision: Precision, parts: &[usize], scale: f32) -> (f64, Vec<f32>) {
        let params = Params::new(device, precision);
        let (qkv, teacher_qkv) = self.arrays();
        let table = |shape: AttentionShape, theta| Arc::new(RopeTable::new(shape.d_head, theta, 256));
        let mut starts: Vec<usize> = parts.iter().map(|&document| self.documents[document].start).collect();
        starts.push(self.positions.len());
        let width = self.teacher.qkv_width();
        let part = |rows: &[usize]| {
            let (start, end) = (rows[0], rows[1]);
            let qkv = activation(&params, &[end - start, width], &teacher_qkv[start * width..end * width]);
            let (rope, places) = (table(self.teacher, THETAS.1), self.positions[start..end].to_vec());
            (start, AttentionMaps { shape: self.teacher, rope, places, qkv })
        };
        let teacher = Arc::new(TeacherMaps { parts: starts.windows(2).map(part).collect() });
        let mut tape = Tape::training(&params);
        let qkv = tape.leaf(activation(&params, &[self.positions.len(), self.student.qkv_width()], &qkv));
        let compared = Compared { documents: self.documents.clone().into(), chosen: self.chosen.clone().into(), scale };
        let (rope, places) = (table(self.student, THETAS.0), self.positions.clone());
        let maps = AttentionMaps { shape: self.student, rope, places, qkv: qkv.value().clone() };
        let value = tape.attention_kl(&qkv, maps, &teacher, &compared);
        (value, unwound(tape, &qkv, &params))
    }
}

/// The gradient of a leaf that nothing but losses depends on.
fn unwound(tape: Tape<'_>, leaf: &Var, params: &Params) -> Vec<f32> {
    let zeros = activation(params, leaf.value().shape(), &vec![0.0; leaf.value().shape().iter().product()]);
    tape.backward(leaf, zeros, &mut Grads::zeros(params)).of(leaf).unwrap().to_vec()
}

#[test]
fn the_reference_of_attention_distance_is_its_own_gradient() {
    for windows in [(None, None), (Some(3), Some(2))] {
        let case = Case::new(&[4, 3], windows);
        let (qkv, teacher) = case.arrays();
        let (value, found) = case.reference(&qkv, &teacher);
        assert!(value > 0.0);
        assert_close("dqkv", &found, &finite_difference(&qkv, |x| case.reference(x, &teacher).0), 1e-8, 1e-6);
    }
}

#[test]
fn a_model_is_at_no_distance_from_itself() {
    let case = Case::new(&[5, 9], (None, None));
    let case = Case { teacher: case.student, ..case };
    let (qkv, _) = case.arrays();
    let inputs = Inputs {
        shape: case.student,
        theta: THETAS.0,
        d_rotary: 8,
        positions: &case.positions,
        documents: &case.documents,
    };
    let (value, gradient) = kl(&inputs, &qkv, &inputs, &qkv, &case.chosen);
    assert!(value.abs() < 1e-12 && gradient.iter().all(|x| x.abs() < 1e-12));
}

#[test]
fn attention_distance_agrees_with_its_reference() {
    for (lengths, windows) in [
        (&[7, 1, 40][..], (None, None)),
        (&[150, 33], (None, None)),
        (&[150, 33], (None, Some(20))),
        (&[150, 90], (Some(70), Some(70))),
    ] {
        let case = Case::new(lengths, windows);
        let (qkv, teacher) = case.arrays();
        for device in devices() {
            for precision in [Precision::F32, Precision::Bf16] {
                let params = Params::new(&device, precision);
                let (qkv, teacher) = (rounded(&params, &qkv), rounded(&params, &teacher));
                let (value, gradient) = case.reference(&qkv, &teacher);
                let (found, found_gradient) = case.run(&device, precision, &[0, 1], 0.5);
                assert!((found - value).abs() < 1e-5 * value, "{device:?}: {found} for {value}");
                let half: Vec<f64> = gradient.iter().map(|x| 0.5 * x).collect();
                let (absolute, relative) = tolerance(precision);
                assert_close("dqkv", &wide(&found_gradient), &half, absolute, relative);
            }
        }
    }
}

#[test]
fn threads_and_parts_change_no_bit() {
    let case = Case::new(&[60, 5, 100], (None, None));
    let expected = case.run(&device(1), Precision::Bf16, &[0], 1.0);
    for (threads, parts) in [(2, &[0][..]), (3, &[0, 1, 2]), (1, &[0, 2])] {
        assert_eq!(case.run(&device(threads), Precision::Bf16, parts, 1.0), expected);
    }
}

#[test]
fn means_of_segments() {
    let (t, d) = (70, 5);
    let chosen: Vec<bool> = (0..t).map(|row| row % 4 != 1).collect();
    let ranges = Segments::ranges(&chosen, &[0..3, 5..6, 6..70]);
    // Row 5 is not chosen, so its document has no segment.
    assert_eq!((ranges.n(), ranges.size(0), ranges.of_row(6), ranges.of_row(3)), (2, 2, Some(1), None));
    assert_eq!((Segments::rows(&chosen).n(), Segments::rows(&chosen).of_row(2)), (52, Some(1)));
    for segments in [ranges, Segments::rows(&chosen)] {
        let (x, grad) = (wave(t * d, 1, 1.0), wave(segments.n() * d, 2, 1.0));
        let dot = |x: &[f64]| reference::forward(x, d, &segments).iter().zip(&grad).map(|(a, b)| a * b).sum::<f64>();
        let expected = reference::backward(&grad, d, &segments);
        assert_close("dx", &expected, &finite_difference(&x, dot), 1e-8, 1e-6);
        for precision in [Precision::F32, Precision::Bf16] {
            let params = Params::new(&device(2), precision);
            let mut tape = Tape::training(&params);
            let leaf = tape.leaf(tutelage_tensor::Tensor::from_f32(params.device(), [t, d], &narrow(&x)));
            let means = tape.segment_means(&leaf, &segments);
            let (absolute, relative) = tolerance(precision);
            let expected_means = reference::forward(&x, d, &segments);
            assert_close("means", &wide(&means.value().to_vec()), &expected_means, absolute, relative);
            let grad = activation(&params, &[segments.n(), d], &grad);
            let leaves = tape.backward(&means, grad, &mut Grads::zeros(&params));
            assert_close("dx", &wide(&leaves.of(&leaf).unwrap().to_vec()), &expected, absolute, relative);
        }
    }
}

/// `sum (x - target)^3`.
struct Cubes;

impl FeatureObjective for Cubes {
    fn row(&self, _: RowMath, x_d: &mut [f32], target_d: &[f32], gradient: bool) -> f64 {
        let differences = x_d.iter().zip(target_d).map(|(x, y)| f64::from(x - y));
        let value = differences.clone().map(|x| x.powi(3)).sum();
        let slopes: Vec<f32> = differences.map(|x| (3.0 * x * x) as f32).collect();
        if gradient {
            x_d.copy_from_slice(&slopes);
        }
        value
    }
}

#[test]
fn the_gradient_of_a_loss_in_the_middle_joins_that_of_the_end() {
    let (n, d) = (45, 3);
    let (x, y, end) = (wave(n * d, 1, 1.0), wave(n * d, 2, 1.0), wave(n * d, 3, 1.0));
    let params = Params::new(&device(2), Precision::F32);
    let mut tape = Tape::training(&params);
    let tensor = |x: &[f64]| activation(&params, &[n, d], x);
    let leaf = tape.leaf(tensor(&x));
    let value = tape.feature_loss(&leaf, &tensor(&y), &Cubes);
    let cubes = |x: &[f64]| x.iter().zip(&y).map(|(x, y)| (x - y).powi(3)).sum::<f64>();
    assert_close("value", &[value], &[cubes(&x)], 1e-5, 1e-5);
    let leaves = tape.backward(&leaf, tensor(&end), &mut Grads::zeros(&params));
    let expected = finite_difference(&x, |x| cubes(x) + x.iter().zip(&end).map(|(a, b)| a * b).sum::<f64>());
    assert_close("dx", &wide(&leaves.of(&leaf).unwrap().to_vec()), &expected, 1e-5, 1e-5);
    // A tape that is not unwound knows the value alone.
    let mut tape = Tape::inference(&params);
    let leaf = tape.leaf(tensor(&x));
    assert_eq!(tape.feature_loss(&leaf, &tensor(&y), &Cubes), value);
}
