//! The Hugging Face folder: `config.json`, safetensors under the family's names, and our manifest of hashes.

use std::borrow::Cow;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tutelage_run::{Hash, read_json, write_json};
use tutelage_tensor::{Device, Params, Precision};

use crate::decoder::{Stored, part_rows, split};
use crate::tensors::{Named, WeightFiles, write_tensors};
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

impl Decoder {
    /// Writes `config.json`, `generation_config.json`, `model.safetensors` and `tutelage.json` into a folder.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path, tokenizer: &Hash) -> Result<Hash, ModelError> {
        let stored = self.stored();
        let arrays: Vec<Named<'_>> =
            stored.iter().map(|(name, shape, values)| (name.clone(), shape.clone(), &values[..])).collect();
        let weights = write_tensors(&folder.join("model.safetensors"), &arrays)?;
        write_json(&folder.join("config.json"), &self.config().to_json())?;
        let ids = serde_json::json!({ "bos_token_id": self.config().bos, "eos_token_id": self.config().eos_ids() });
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
        let files = WeightFiles::open(folder, expected)?;
        let mut arrays = files.arrays()?;
        let repeated = match config.family.stored("output.weight") {
            Stored::Whole(name) if config.tied_embeddings => Some(name),
            _ => None,
        };
        let model = Self::from_stored(config, params, |name, shape| arrays.take(name, shape))?;
        if let Some(name) = repeated {
            arrays.forget(&name);
        }
        arrays.finish()?;
        Ok(model)
    }

    /// The weights as the family's files hold them.
    fn stored(&self) -> Vec<(String, Vec<usize>, Cow<'_, [f32]>)> {
        let config = self.config();
        let arrays = self.params().iter().flat_map(|(_, param)| match config.family.stored(param.name()) {
            Stored::Whole(name) => vec![(name, param.shape().to_vec(), Cow::Borrowed(param.values()))],
            Stored::Parts(names) => {
                let rows = part_rows(config).into_iter().zip(split(config, param.values()));
                let part = |(name, (rows, values))| (name, vec![rows, config.d_model], Cow::Owned(values));
                names.into_iter().zip(rows).map(part).collect()
            }
        });
        arrays.collect()
    }
}
