//! Reading fixtures.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

/// A `.safetensors` file of f32 and i64 arrays.
pub struct Fixture {
    bytes: Vec<u8>,
}

impl Fixture {
    /// Reads the file.
    ///
    /// # Panics
    /// When it cannot be read: a test without its fixture has failed.
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> Self {
        match std::fs::read(path.as_ref()) {
            Ok(bytes) => Self { bytes },
            Err(error) => panic!("fixture {}: {error}", path.as_ref().display()),
        }
    }

    /// One array, widened, with its shape.
    ///
    /// # Panics
    /// When the file has no such array.
    #[track_caller]
    pub fn get(&self, name: &str) -> (Vec<usize>, Vec<f64>) {
        let tensors = self.tensors();
        let view = match tensors.tensor(name) {
            Ok(view) => view,
            Err(error) => panic!("fixture array '{name}': {error}"),
        };
        let values = match view.dtype() {
            Dtype::F32 => view.data().as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
            Dtype::F64 => view.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            Dtype::I64 => view.data().as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
            other => panic!("fixture array '{name}' has type {other:?}"),
        };
        (view.shape().to_vec(), values)
    }

    /// One array as whole numbers.
    ///
    /// # Panics
    /// When the file has no such array.
    #[track_caller]
    pub fn ints(&self, name: &str) -> Vec<i32> {
        self.get(name).1.iter().map(|&x| x as i32).collect()
    }

    /// Names of all arrays, sorted.
    ///
    /// # Panics
    /// When the file is damaged.
    #[track_caller]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.tensors().names().into_iter().map(ToString::to_string).collect();
        names.sort_unstable();
        names
    }

    #[track_caller]
    fn tensors(&self) -> SafeTensors<'_> {
        match SafeTensors::deserialize(&self.bytes) {
            Ok(tensors) => tensors,
            Err(error) => panic!("fixture: {error}"),
        }
    }
}
