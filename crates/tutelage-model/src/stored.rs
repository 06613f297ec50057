//! A model in files, whose weights are read when they are asked for.

use std::collections::BTreeMap;
use std::path::Path;

use tutelage_run::{FileError, Hash, read_json};
use tutelage_tensor::{ParamId, Params};

use crate::decoder::{Layout, Spec, specs};
use crate::files::{read_config, save_folder};
use crate::gguf;
use crate::lora::Merged;
use crate::tensors::{Arrays, WeightFiles};
use crate::{Decoder, DecoderConfig, GgufFile, GgufType, ModelError, ModelManifest, SaveOptions, Value};

/// A model in files: a folder, or a GGUF file.
pub struct StoredModel {
    config: DecoderConfig,
    layout: Layout,
    files: Files,
    merged: Option<Merged>,
}

enum Files {
    Folder(WeightFiles),
    Gguf(GgufFile),
}

/// What weights are read from.
enum Reader<'a> {
    Folder(Arrays<'a>),
    Gguf(&'a GgufFile, Vec<String>),
}

fn is_model(path: &Path) -> Result<(), ModelError> {
    if path.is_file() && !GgufFile::is_named(path) {
        return Err(FileError::content(path, "is neither a model's folder nor a GGUF file (NAME.gguf)").into());
    }
    Ok(())
}

impl StoredModel {
    /// A Hugging Face folder, or a GGUF file if it is called so; where our manifest is there, the weights' hash is compared.
    ///
    /// # Errors
    /// When it is neither, a file is missing or damaged, or its configuration is not supported.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        is_model(path)?;
        if GgufFile::is_named(path) {
            return Self::from_gguf(GgufFile::open(path)?);
        }
        let config = read_config(path)?;
        let manifest = path.join("tutelage.json");
        let manifest: Option<ModelManifest> = manifest.exists().then(|| read_json(&manifest)).transpose()?;
        let files = WeightFiles::open(path, manifest.as_ref().map(|m| &m.weights))?;
        let layout = Layout::Folder(config.family);
        Ok(Self { config, layout, files: Files::Folder(files), merged: None })
    }

    /// The configuration alone; weights are not looked at.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn read_config(path: &Path) -> Result<DecoderConfig, ModelError> {
        is_model(path)?;
        if GgufFile::is_named(path) { gguf::config(&GgufFile::open(path)?) } else { read_config(path) }
    }

    /// A GGUF file.
    ///
    /// # Errors
    /// When its architecture is not supported.
    pub fn from_gguf(file: GgufFile) -> Result<Self, ModelError> {
        let config = gguf::config(&file)?;
        let layout = Layout::Gguf(config.family);
        Ok(Self { config, layout, files: Files::Gguf(file), merged: None })
    }

    /// The same model with the adapters of a PEFT folder merged into its weights.
    ///
    /// # Errors
    /// When the folder is not whole or of another model, or this is a GGUF file.
    pub fn merged(self, adapters: &Path) -> Result<Self, ModelError> {
        if matches!(self.files, Files::Gguf(_)) {
            let fault = "adapters name the modules of folders; convert the GGUF file to one first".to_owned();
            return Err(ModelError::Weights { path: adapters.to_path_buf(), fault });
        }
        let merged = Merged::open(&self.config, adapters)?;
        Ok(Self { merged: Some(merged), ..self })
    }

    /// Sizes.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    fn reader(&self) -> Result<Reader<'_>, ModelError> {
        Ok(match &self.files {
            Files::Folder(files) => Reader::Folder(files.arrays()?),
            Files::Gguf(file) => Reader::Gguf(file, Vec::new()),
        })
    }

    /// The whole model, into empty parameters.
    ///
    /// # Errors
    /// When weights are missing, misshapen, no numbers, or too many.
    pub fn decoder(&self, params: Params) -> Result<Decoder, ModelError> {
        let mut reader = self.reader()?;
        let model = Decoder::from_weights(self.config.clone(), params, |spec| self.weight(&mut reader, spec))?;
        self.finish(reader)?;
        Ok(model)
    }

    /// The output layer alone, into empty parameters.
    ///
    /// # Errors
    /// When it is missing, misshapen, or no numbers.
    pub fn output_layer(&self, mut params: Params) -> Result<(Params, ParamId), ModelError> {
        let name = if self.config.tied_embeddings { "model.tok_embeddings.weight" } else { "output.weight" };
        let shape = [self.config.vocab_size, self.config.d_model];
        let values = match specs(&self.config).iter().find(|spec| spec.name == name) {
            Some(spec) => self.weight(&mut self.reader()?, spec)?,
            None => {
                let fault = "a reward model has no output layer of logits".to_owned();
                return Err(ModelError::Config { field: "reward", value: "true".to_owned(), fault });
            }
        };
        let id = params.push_head(name, shape, &values);
        Ok((params, id))
    }

    /// Types of the arrays, with how many there are of each.
    ///
    /// # Errors
    /// When a file is damaged.
    pub fn dtypes(&self) -> Result<BTreeMap<String, usize>, ModelError> {
        let mut out = BTreeMap::new();
        let mut count = |name: String| *out.entry(name).or_insert(0) += 1;
        match self.reader()? {
            Reader::Folder(arrays) => arrays.dtypes().for_each(|dtype| count(format!("{dtype:?}"))),
            Reader::Gguf(file, _) => file.tensors().for_each(|(.., kind)| count(kind.to_owned())),
        }
        Ok(out)
    }

    /// Reads every weight once, and keeps none.
    ///
    /// # Errors
    /// As [`Self::decoder`].
    pub fn check(&self) -> Result<(), ModelError> {
        let mut reader = self.reader()?;
        for spec in specs(&self.config) {
            self.weight(&mut reader, &spec)?;
        }
        self.finish(reader)
    }

    /// Writes a folder, under a configuration that computes the same (see [`DecoderConfig::converted`]); reads and
    /// writes a weight at a time.
    ///
    /// # Errors
    /// As [`Self::decoder`]; when a file cannot be written, or a weight is beyond the range of the type.
    pub fn save_as(
        &self,
        config: &DecoderConfig,
        folder: &Path,
        tokenizer: &Hash,
        options: SaveOptions,
    ) -> Result<Hash, ModelError> {
        let mut reader = self.reader()?;
        let hash = save_folder(config, folder, tokenizer, options, &mut |spec| self.weight(&mut reader, spec))?;
        self.finish(reader)?;
        Ok(hash)
    }

    /// Writes a GGUF file, matrices in this type, with metadata beside that of the configuration: the tokenizer's.
    ///
    /// # Errors
    /// As [`Self::decoder`]; when llama.cpp has no architecture that computes the same.
    pub fn write_gguf(&self, path: &Path, kind: GgufType, metadata: Vec<(String, Value)>) -> Result<(), ModelError> {
        let mut reader = self.reader()?;
        gguf::write(&self.config, path, kind, metadata, &mut |spec| self.weight(&mut reader, spec))?;
        self.finish(reader)
    }

    fn weight(&self, reader: &mut Reader<'_>, spec: &Spec) -> Result<Vec<f32>, ModelError> {
        let stored = self.layout.stored(&self.config, &spec.name, &spec.shape);
        let mut arrays = Vec::new();
        for array in &stored.arrays {
            let mut values = match reader {
                Reader::Folder(arrays) => arrays.take(&array.name, &array.shape)?,
                Reader::Gguf(file, taken) => {
                    taken.push(array.name.clone());
                    if let Some(rows) = stored.range() {
                        return file.take_rows(&array.name, &array.shape, rows);
                    }
                    file.take(&array.name, &array.shape)?
                }
            };
            if let Some(merged) = &self.merged {
                merged.add_to(&array.name, &mut values);
            }
            arrays.push(values);
        }
        Ok(stored.gather(arrays))
    }

    /// Refuses arrays that nobody asked for.
    fn finish(&self, reader: Reader<'_>) -> Result<(), ModelError> {
        match reader {
            Reader::Folder(mut arrays) => {
                if self.config.tied_embeddings {
                    // Some folders hold the embeddings a second time.
                    for array in self.layout.stored(&self.config, "output.weight", &[]).arrays {
                        arrays.forget(&array.name);
                    }
                }
                arrays.finish()
            }
            Reader::Gguf(file, taken) => {
                let is_read = |name: &str| name == gguf::ROPE_FACTORS || taken.iter().any(|taken| taken == name);
                match file.tensors().find(|(name, ..)| !is_read(name)) {
                    None => Ok(()),
                    Some((name, shape, _)) => Err(ModelError::Weights {
                        path: file.path().to_path_buf(),
                        fault: format!("holds '{name}' of shape {shape:?}, which this kind of model has no place for"),
                    }),
                }
            }
        }
    }
}
