//! The Hugging Face folder: `config.json`, `model.safetensors`, and our manifest of hashes.

use std::collections::HashMap;
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use tutelage_run::{FileError, Hash, MappedFile, hash_bytes, read_json, write_atomic, write_json};
use tutelage_tensor::{Device, Params, Precision};

use crate::{Decoder, DecoderConfig, ModelError};

/// `tutelage.json` of a model's folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelManifest {
    /// Always `tutelage-model-1`.
    pub format: String,
    /// Hash of `model.safetensors`.
    pub weights: Hash,
    /// Hash of the tokenizer it was trained with.
    pub tokenizer: Hash,
}

/// An array with a name: `(name, shape, values)`.
pub type Named<'a> = (String, Vec<usize>, &'a [f32]);

/// Writes f32 arrays as a safetensors file; returns its hash.
///
/// # Errors
/// When the file cannot be written.
pub fn write_tensors(path: &Path, arrays: &[Named<'_>]) -> Result<Hash, ModelError> {
    let bytes: Vec<Vec<u8>> = arrays.iter().map(|a| a.2.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let wrong = |error: safetensors::SafeTensorError| FileError::content(path, format!("cannot be written: {error}"));
    let mut views = Vec::new();
    for ((name, shape, _), bytes) in arrays.iter().zip(&bytes) {
        views.push((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(wrong)?));
    }
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let file = safetensors::serialize(views, Some(metadata)).map_err(wrong)?;
    write_atomic(path, &file)?;
    Ok(hash_bytes(&file))
}

/// Reads a safetensors file and hands each wanted array, widened to f32, to `take`; if `expected` is given,
/// the file's hash must be that.
///
/// # Errors
/// When the file is missing, damaged, or an array is absent or of another shape.
pub fn read_tensors<T>(
    path: &Path,
    expected: Option<&Hash>,
    take: impl FnOnce(&mut dyn FnMut(&str, &[usize]) -> Result<Vec<f32>, ModelError>) -> Result<T, ModelError>,
) -> Result<T, ModelError> {
    let file = MappedFile::open(path)?;
    let fault = |fault: String| ModelError::Weights { path: path.to_path_buf(), fault };
    if expected.is_some_and(|hash| *hash != hash_bytes(file.bytes())) {
        return Err(fault("is truncated or damaged: its hash is not the one written beside it".to_owned()));
    }
    let tensors = SafeTensors::deserialize(file.bytes()).map_err(|e| fault(format!("is truncated or damaged: {e}")))?;
    take(&mut |name, shape| {
        let view = tensors.tensor(name).map_err(|_| {
            fault(format!("has no array '{name}'; it holds {} others, of another kind of model", tensors.len()))
        })?;
        if view.shape() != shape {
            return Err(fault(format!("'{name}' has shape {:?} where {shape:?} is expected", view.shape())));
        }
        widen(&view).ok_or_else(|| fault(format!("'{name}' has type {:?}; F32, BF16 and F16 are read", view.dtype())))
    })
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

impl Decoder {
    /// Writes `config.json`, `generation_config.json`, `model.safetensors` and `tutelage.json` into a folder.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path, tokenizer: &Hash) -> Result<Hash, ModelError> {
        let arrays: Vec<Named<'_>> =
            self.params().iter().map(|(_, p)| (p.name().to_owned(), p.shape().to_vec(), p.values())).collect();
        let weights = write_tensors(&folder.join("model.safetensors"), &arrays)?;
        write_json(&folder.join("config.json"), &self.config().to_json())?;
        let ids = serde_json::json!({ "bos_token_id": self.config().bos, "eos_token_id": self.config().eos });
        write_json(&folder.join("generation_config.json"), &ids)?;
        let manifest = ModelManifest {
            format: "tutelage-model-1".to_owned(),
            weights: weights.clone(),
            tokenizer: tokenizer.clone(),
        };
        write_json(&folder.join("tutelage.json"), &manifest)?;
        Ok(weights)
    }

    /// Reads a folder; where our manifest is there, the weights' hash is compared.
    ///
    /// # Errors
    /// When a file is missing or damaged, or weights do not fit the configuration.
    pub fn load(folder: &Path, device: &Device, precision: Precision) -> Result<Self, ModelError> {
        Self::load_into(folder, Params::new(device, precision))
    }

    /// The same for inference alone, see [`Params::frozen`].
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_frozen(folder: &Path, device: &Device, precision: Precision) -> Result<Self, ModelError> {
        Self::load_into(folder, Params::frozen(device, precision))
    }

    fn load_into(folder: &Path, params: Params) -> Result<Self, ModelError> {
        let config = DecoderConfig::from_json(&read_json(&folder.join("config.json"))?)?;
        let manifest = folder.join("tutelage.json");
        let manifest: Option<ModelManifest> = manifest.exists().then(|| read_json(&manifest)).transpose()?;
        let expected = manifest.as_ref().map(|m| &m.weights);
        read_tensors(&folder.join("model.safetensors"), expected, |array| Self::from_values(config, params, array))
    }
}
