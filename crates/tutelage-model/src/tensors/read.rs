//! Reading.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use tutelage_run::{Hash, MappedFile, hash_bytes, read_json};

use super::hash_of_files;
use crate::ModelError;

/// Reads a safetensors file and hands each wanted array, widened to f32, to `take`.
///
/// # Errors
/// When the file is missing, damaged, or an array is absent or of another shape.
pub fn read_tensors<T>(
    path: &Path,
    take: impl FnOnce(&mut dyn FnMut(&str, &[usize]) -> Result<Vec<f32>, ModelError>) -> Result<T, ModelError>,
) -> Result<T, ModelError> {
    let file = MappedFile::open(path)?;
    let fault = |fault: String| ModelError::Weights { path: path.to_path_buf(), fault };
    let tensors = parsed(&file).map_err(fault)?;
    take(&mut |name, shape| {
        let view = tensors.tensor(name).map_err(|_| {
            fault(format!("has no array '{name}'; it holds {} others, of another kind of model", tensors.len()))
        })?;
        checked(&view, name, shape).map_err(fault)
    })
}

/// The arrays of a file; else the fault.
fn parsed(file: &MappedFile) -> Result<SafeTensors<'_>, String> {
    SafeTensors::deserialize(file.bytes()).map_err(|error| {
        let culprit = misplaced(file.bytes()).map_or(String::new(), |name| format!(" ('{name}')"));
        format!("is truncated or damaged: {error}{culprit}")
    })
}

/// The first array, by name, whose bytes are not as many as its shape and type take, or lie beyond the end of the file:
/// the library does not name it.
fn misplaced(bytes: &[u8]) -> Option<String> {
    /// An array as the header has it.
    #[derive(Deserialize)]
    struct Announced {
        dtype: serde_json::Value,
        shape: Vec<u64>,
        data_offsets: [u64; 2],
    }
    let (len, rest) = bytes.split_first_chunk::<8>()?;
    let len = usize::try_from(u64::from_le_bytes(*len)).ok().filter(|len| *len <= rest.len())?;
    let header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&rest[..len]).ok()?;
    let data = (rest.len() - len) as u64;
    let is_whole = |value: serde_json::Value| {
        let array: Announced = serde_json::from_value(value).ok()?;
        let bits = serde_json::from_value::<Dtype>(array.dtype).ok()?.bitsize() as u64;
        let bits = array.shape.iter().try_fold(bits, |n, &size| n.checked_mul(size))?;
        let [start, end] = array.data_offsets;
        (end <= data && end.checked_sub(start)?.checked_mul(8)? == bits).then_some(())
    };
    let mut arrays = header.into_iter().filter(|(name, _)| name != "__metadata__");
    arrays.find_map(|(name, value)| is_whole(value).is_none().then_some(name))
}

/// The values, if all are numbers; else the fault.
pub(crate) fn finite(name: &str, values: Vec<f32>) -> Result<Vec<f32>, String> {
    match values.iter().position(|x| !x.is_finite()) {
        None => Ok(values),
        Some(at) => Err(format!("'{name}' holds {} at element {at}", values[at])),
    }
}

/// The values, if they have this shape and a type that is read; else the fault.
fn checked(view: &TensorView<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
    if view.shape() != shape {
        return Err(format!("'{name}' has shape {:?} where {shape:?} is expected", view.shape()));
    }
    widen(view).ok_or_else(|| format!("'{name}' has type {:?}; F32, BF16 and F16 are read", view.dtype()))
}

fn widen(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let pairs = || view.data().as_chunks::<2>().0.iter();
    Some(match view.dtype() {
        Dtype::F32 => view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Dtype::BF16 => pairs().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        Dtype::F16 => pairs().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        _ => return None,
    })
}

/// `model.safetensors.index.json`.
#[derive(Deserialize)]
struct Index {
    /// The file of each array.
    weight_map: BTreeMap<String, String>,
}

/// The weights of a model's folder, mapped into memory.
pub(crate) struct WeightFiles {
    files: Vec<MappedFile>,
    paths: Vec<PathBuf>,
}

impl WeightFiles {
    /// Maps `model.safetensors`, or the files that `model.safetensors.index.json` names; if `expected` is given, their hash
    /// (see [`hash_of_files`]) must be that.
    ///
    /// # Errors
    /// When a file is missing, damaged, or outside the folder.
    pub(crate) fn open(folder: &Path, expected: Option<&Hash>) -> Result<Self, ModelError> {
        let (single, index) = (folder.join("model.safetensors"), folder.join("model.safetensors.index.json"));
        if single.exists() || !index.exists() {
            let file = MappedFile::open(&single)?;
            return Self { files: vec![file], paths: vec![single] }.checked(folder, expected);
        }
        let names: BTreeSet<String> = read_json::<Index>(&index)?.weight_map.into_values().collect();
        if names.is_empty() {
            return Err(ModelError::Weights { path: index, fault: "names no files".to_owned() });
        }
        let (mut files, mut paths) = (Vec::new(), Vec::new());
        for name in names {
            let is_plain = Path::new(&name).file_name().is_some_and(|file| file == name.as_str());
            if !is_plain || name.contains('\\') {
                let fault = format!("names a file outside the folder: '{name}'");
                return Err(ModelError::Weights { path: index, fault });
            }
            let path = folder.join(&name);
            files.push(MappedFile::open(&path)?);
            paths.push(path);
        }
        Self { files, paths }.checked(folder, expected)
    }

    /// Maps one file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn single(path: &Path) -> Result<Self, ModelError> {
        Ok(Self { files: vec![MappedFile::open(path)?], paths: vec![path.to_path_buf()] })
    }

    fn checked(self, folder: &Path, expected: Option<&Hash>) -> Result<Self, ModelError> {
        let hashes = || self.files.iter().map(|file| hash_bytes(file.bytes())).collect::<Vec<_>>();
        match expected.is_some_and(|expected| *expected != hash_of_files(&hashes())) {
            false => Ok(self),
            true => {
                let path = if self.paths.len() == 1 { self.paths[0].clone() } else { folder.to_path_buf() };
                let fault = "is truncated or damaged: its hash is not the one written beside it".to_owned();
                Err(ModelError::Weights { path, fault })
            }
        }
    }

    /// The arrays of all files, by name.
    ///
    /// # Errors
    /// When a file is damaged, or two hold an array of one name.
    pub(crate) fn arrays(&self) -> Result<Arrays<'_>, ModelError> {
        let mut arrays = BTreeMap::new();
        for (file, path) in self.files.iter().zip(&self.paths) {
            let fault = |fault: String| ModelError::Weights { path: path.clone(), fault };
            let tensors = parsed(file).map_err(fault)?;
            for (name, view) in tensors.tensors() {
                if arrays.insert(name.clone(), (view, file)).is_some() {
                    return Err(fault(format!("'{name}' is in another file too")));
                }
            }
        }
        Ok(Arrays { arrays, taken: BTreeSet::new(), first: &self.paths[0] })
    }
}

/// The arrays of a folder, and which of them were taken.
pub(crate) struct Arrays<'a> {
    arrays: BTreeMap<String, (TensorView<'a>, &'a MappedFile)>,
    taken: BTreeSet<String>,
    first: &'a Path,
}

impl Arrays<'_> {
    /// An array of this shape, widened to f32.
    ///
    /// # Errors
    /// When it is missing, of another shape or type, or holds what is no number.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let Some((view, file)) = self.arrays.get(name) else {
            let n = self.arrays.len();
            let fault = format!("has no array '{name}'; it holds {n} others, perhaps of another kind of model");
            return Err(ModelError::Weights { path: self.first.to_path_buf(), fault });
        };
        self.taken.insert(name.to_owned());
        let fault = |fault: String| ModelError::Weights { path: file.path().to_path_buf(), fault };
        let values = checked(view, name, shape).and_then(|values| finite(name, values)).map_err(fault)?;
        // Large models: what was read stands in the file, and need not stand in memory too.
        file.release(view.data());
        Ok(values)
    }

    /// Names and shapes.
    pub(crate) fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.arrays.iter().map(|(name, (view, _))| (name.clone(), view.shape().to_vec())).collect()
    }

    /// Types of all of them.
    pub(crate) fn dtypes(&self) -> impl Iterator<Item = Dtype> {
        self.arrays.values().map(|(view, _)| view.dtype())
    }

    /// Passes over an array that repeats another.
    pub(crate) fn forget(&mut self, name: &str) {
        self.arrays.remove(name);
    }

    /// Refuses arrays that nobody took, except tables that follow from the configuration.
    ///
    /// # Errors
    /// Names the first of them.
    pub(crate) fn finish(self) -> Result<(), ModelError> {
        let left = self.arrays.iter().filter(|(name, _)| !self.taken.contains(*name));
        let mut left = left.filter(|(name, _)| !name.ends_with("rotary_emb.inv_freq"));
        let Some((name, (view, file))) = left.next() else { return Ok(()) };
        let fault = format!(
            "holds '{name}' of shape {:?} and {} more arrays that this kind of model has no place for",
            view.shape(),
            left.count()
        );
        Err(ModelError::Weights { path: file.path().to_path_buf(), fault })
    }
}
