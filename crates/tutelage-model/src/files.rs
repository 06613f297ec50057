//! The Hugging Face folder: `config.json`, safetensors under the family's names, and our manifest of hashes.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tutelage_run::{Hash, read_json, write_json};
use tutelage_tensor::{Device, Params, Precision};

use crate::decoder::{Layout, Spec};
use crate::planned::PlannedArrays;
use crate::tensors::{StoredType, write_folder};
use crate::{Decoder, DecoderConfig, ModelError, StoredModel};

/// `tutelage.json` of a model's folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelManifest {
    /// Always `tutelage-model-1`.
    pub format: String,
    /// Hash of `model.safetensors`, or of the hashes of its parts.
    pub weights: Hash,
    /// Hash of the tokenizer it was trained with.
    pub tokenizer: Hash,
}

/// How weights are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaveOptions {
    /// The type of all of them.
    pub dtype: StoredType,
    /// The most that a file holds, unless one array is larger.
    pub max_shard_bytes: u64,
}

impl Default for SaveOptions {
    /// f32, in files of 5 GB.
    fn default() -> Self {
        Self { dtype: StoredType::F32, max_shard_bytes: 5_000_000_000 }
    }
}

/// Writes a folder out of weights that are supplied one after another, under a configuration that computes the same.
pub(crate) fn save_folder(
    config: &DecoderConfig,
    folder: &Path,
    tokenizer: &Hash,
    options: SaveOptions,
    weight: &mut dyn FnMut(&Spec) -> Result<Vec<f32>, ModelError>,
) -> Result<Hash, ModelError> {
    let mut arrays = PlannedArrays::new(config, Layout::Folder(config.family));
    let plan = arrays.plan();
    let how = (options.dtype, options.max_shard_bytes);
    let weights = write_folder(folder, &plan, how, &mut |array| arrays.values(array, weight))?;
    let mut json = config.to_json();
    json["torch_dtype"] = json!(options.dtype.torch_name());
    write_json(&folder.join("config.json"), &json)?;
    let ids = json!({ "bos_token_id": config.bos, "eos_token_id": config.eos_ids() });
    write_json(&folder.join("generation_config.json"), &ids)?;
    let manifest =
        ModelManifest { format: "tutelage-model-1".to_owned(), weights: weights.clone(), tokenizer: tokenizer.clone() };
    write_json(&folder.join("tutelage.json"), &manifest)?;
    Ok(weights)
}

impl Decoder {
    /// Writes `config.json`, `generation_config.json`, weights in f32 and `tutelage.json` into a folder.
    ///
    /// # Errors
    /// When a file cannot be written, or the model is one with adapters (see [`Self::save_adapters`]).
    pub fn save(&self, folder: &Path, tokenizer: &Hash) -> Result<Hash, ModelError> {
        if self.params().iter().any(|(_, param)| param.is_fixed()) {
            let fault = "fixed weights are not written; write the adapters, and merge them into the folder".to_owned();
            return Err(ModelError::Config { field: "adapters", value: "some".to_owned(), fault });
        }
        save_folder(self.config(), folder, tokenizer, SaveOptions::default(), &mut |spec| self.weight(spec))
    }

    fn weight(&self, spec: &Spec) -> Result<Vec<f32>, ModelError> {
        let param = self.params().iter().map(|(_, param)| param).find(|param| param.name() == spec.name);
        Ok(param.map(|param| param.values().to_vec()).unwrap_or_default())
    }

    /// Reads a folder; where our manifest is there, the weights' hash is compared.
    ///
    /// # Errors
    /// When a file is missing or damaged, or weights do not fit the configuration.
    pub fn load(folder: &Path, device: &Device, precision: Precision) -> Result<Self, ModelError> {
        StoredModel::open(folder)?.decoder(Params::new(device, precision))
    }

    /// The same for inference alone, see [`Params::frozen`].
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_frozen(folder: &Path, device: &Device, precision: Precision) -> Result<Self, ModelError> {
        StoredModel::open(folder)?.decoder(Params::frozen(device, precision))
    }
}

/// `config.json`, and the ids of `generation_config.json` that end a text where that is there.
///
/// # Errors
/// When a file is damaged, or what it asks for is not supported.
pub(crate) fn read_config(folder: &Path) -> Result<DecoderConfig, ModelError> {
    let mut json: Value = read_json(&folder.join("config.json"))?;
    let generation = folder.join("generation_config.json");
    let generation: Value = if generation.exists() { read_json(&generation)? } else { Value::Null };
    let ids = |json: &Value| match &json["eos_token_id"] {
        Value::Array(ids) => ids.clone(),
        Value::Null => Vec::new(),
        id => vec![id.clone()],
    };
    let (mut all, more) = (ids(&json), ids(&generation));
    let n = all.len();
    all.extend(more.into_iter().filter(|id| !ids(&json).contains(id)));
    if let (true, Some(fields)) = (all.len() > n, json.as_object_mut()) {
        fields.insert("eos_token_id".to_owned(), Value::Array(all));
    }
    DecoderConfig::from_json(&json)
}
