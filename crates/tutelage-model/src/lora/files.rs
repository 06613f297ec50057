//! PEFT's folder: `adapter_config.json`, `adapter_model.safetensors`.

use std::path::Path;

use tutelage_run::{read_json, write_json};
use tutelage_tensor::{Device, Params, Precision};

use super::{Adapters, LoraConfig};
use crate::tensors::{Arrays, WeightFiles};
use crate::{Decoder, ModelError, Named, StoredModel, write_tensors};

/// What PEFT puts before a module's name.
pub(super) const PREFIX: &str = "base_model.model.";
const WEIGHTS: &str = "adapter_model.safetensors";

/// A folder's configuration and files.
pub(super) fn open(folder: &Path) -> Result<(LoraConfig, WeightFiles), ModelError> {
    let config = LoraConfig::from_json(&read_json(&folder.join("adapter_config.json"))?)?;
    Ok((config, WeightFiles::single(&folder.join(WEIGHTS))?))
}

/// A matrix of an adapter.
pub(super) fn take(arrays: &mut Arrays<'_>, name: &str, shape: [usize; 2]) -> Result<Vec<f32>, ModelError> {
    arrays.take(&format!("{PREFIX}{name}"), &shape)
}

impl LoraConfig {
    /// Reads a folder, every weight once; with the number of weights.
    ///
    /// # Errors
    /// When a file is missing or damaged, or not supported.
    pub fn inspect(folder: &Path) -> Result<(Self, u64), ModelError> {
        let (config, files) = open(folder)?;
        let mut arrays = files.arrays()?;
        let mut n_weights = 0;
        for (name, shape) in arrays.shapes() {
            n_weights += arrays.take(&name, &shape)?.len() as u64;
        }
        Ok((config, n_weights))
    }
}

impl StoredModel {
    /// The model with its weights fixed and new adapters that learn: matrices take memory for their packed copies alone,
    /// and have neither gradients nor moments.
    ///
    /// # Errors
    /// As [`StoredModel::decoder`]; when a target is no module of the family.
    pub fn adapted(
        &self,
        device: &Device,
        precision: Precision,
        config: LoraConfig,
        seed: u64,
    ) -> Result<Decoder, ModelError> {
        let model = self.decoder(Params::fixed(device, precision))?;
        model.attach(config, Adapters::first_values(seed))
    }

    /// The same with the adapters of a folder.
    ///
    /// # Errors
    /// As [`StoredModel::adapted`]; when the folder is not whole, or its adapters are of another model.
    pub fn with_adapters(&self, device: &Device, precision: Precision, folder: &Path) -> Result<Decoder, ModelError> {
        let (config, files) = open(folder)?;
        let mut arrays = files.arrays()?;
        let model = self.decoder(Params::fixed(device, precision))?;
        let model = model.attach(config, |name, shape| take(&mut arrays, name, shape))?;
        arrays.finish()?;
        Ok(model)
    }
}

impl Decoder {
    fn attach(
        mut self,
        config: LoraConfig,
        values: impl FnMut(&str, [usize; 2]) -> Result<Vec<f32>, ModelError>,
    ) -> Result<Self, ModelError> {
        let model = self.config().clone();
        let adapters = Adapters::attach(&model, config, self.params_mut(), values)?;
        self.set_adapters(adapters);
        Ok(self)
    }

    /// Writes the adapters as PEFT reads them.
    ///
    /// # Errors
    /// When the model has none, or a file cannot be written.
    pub fn save_adapters(&self, folder: &Path) -> Result<(), ModelError> {
        let Some(adapters) = self.adapters() else {
            let fault = "the model has no adapters to be written".to_owned();
            return Err(ModelError::Config { field: "adapters", value: "none".to_owned(), fault });
        };
        // What else learns beside them is no part of them.
        let learned = self.params().learned().filter(|(id, _)| adapters.contains(*id));
        let arrays: Vec<Named<'_>> = learned
            .map(|(_, param)| (format!("{PREFIX}{}", param.name()), param.shape().to_vec(), param.values()))
            .collect();
        write_tensors(&folder.join(WEIGHTS), &arrays)?;
        Ok(write_json(&folder.join("adapter_config.json"), &adapters.config.to_json())?)
    }
}
