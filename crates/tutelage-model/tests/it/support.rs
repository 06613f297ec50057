//! What several tests need.

use tutelage_model::Decoder;
use tutelage_run::{create_folder, hash_bytes, remove_folder};
use tutelage_tensor::ParamId;
use tutelage_tensor::kernels::linear_loss::LogitObjective;
use tutelage_tensor::simd::RowMath;
use tutelage_testkit::Fixture;

/// Mean cross-entropy, written here without the objectives' crate.
pub(crate) struct CrossEntropy(pub(crate) Vec<i32>);

impl LogitObjective for CrossEntropy {
    fn n_terms(&self) -> usize {
        1
    }
    fn row(&self, math: RowMath, row: usize, z: &mut [f32], _: Option<&mut [f32]>, _: bool, terms: &mut [f64]) {
        let scale = 1.0 / self.0.iter().filter(|&&l| l >= 0).count() as f32;
        let Ok(label) = usize::try_from(self.0[row]) else {
            z.fill(0.0);
            terms[0] = 0.0;
            return;
        };
        let at = z[label];
        terms[0] = f64::from((math.softmax(z, 1.0) - at) * scale);
        math.scale(z, scale);
        z[label] -= scale;
    }
}

/// Numbers of each weight as the family's files hold them: put in the place of the weights, and written.
pub(crate) fn as_stored(mut model: Decoder, values: &dyn Fn(ParamId, usize) -> Vec<f32>) -> Fixture {
    let ids: Vec<_> = model.params().iter().map(|(id, param)| (id, param.n_weights())).collect();
    for (id, n) in ids {
        model.params_mut().values_mut(id).copy_from_slice(&values(id, n));
    }
    let name = format!("tutelage-stored-{}-{:?}", std::process::id(), std::thread::current().id());
    let folder = std::env::temp_dir().join(name);
    create_folder(&folder).unwrap();
    model.save(&folder, &hash_bytes(b"tokenizer")).unwrap();
    let fixture = Fixture::open(folder.join("model.safetensors"));
    remove_folder(&folder).unwrap();
    fixture
}
