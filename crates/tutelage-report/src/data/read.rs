//! The files of stages: `manifest.json`, and where they are `look.json` (lengths, languages, examples) and `mix.json`.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tutelage_run::{FileError, read_json};

use crate::ReportError;

/// Stages, in order.
#[derive(Debug, Clone)]
pub struct DataReport {
    /// Their folder.
    pub folder: PathBuf,
    /// Each of them.
    pub stages: Vec<StageReport>,
}

/// One stage.
#[derive(Debug, Clone)]
pub struct StageReport {
    /// Its name in the recipe, or of its folder.
    pub name: String,
    /// `manifest.json`.
    pub manifest: Value,
    /// `look.json`, if there is one.
    pub look: Option<Value>,
    /// `mix.json`, if there is one.
    pub mix: Option<Value>,
    /// `model.json`, if there is one: how far a classifier is right.
    pub card: Option<Value>,
}

impl DataReport {
    /// The folders of stages in a folder: those of a recipe's run, or the folder itself; nothing if there are none.
    ///
    /// # Errors
    /// When a file is damaged.
    pub fn folders(folder: &Path) -> Result<Vec<(String, PathBuf)>, ReportError> {
        let list = folder.join("data.json");
        if list.exists() {
            let stages: Value = read_json(&list)?;
            let names = stages.as_array().into_iter().flatten().filter_map(|stage| stage["name"].as_str());
            return Ok(names.map(|name| (name.to_owned(), folder.join("data").join(name))).collect());
        }
        if folder.join("manifest.json").exists() && !folder.join("summary.json").exists() {
            let manifest: Value = read_json(&folder.join("manifest.json"))?;
            // Runs that train have a manifest too, of another kind.
            if manifest["stage"].is_string() && manifest["read"].is_u64() {
                let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
                return Ok(vec![(name, folder.to_path_buf())]);
            }
        }
        Ok(Vec::new())
    }

    /// Reads the stages of a folder.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub fn read(folder: &Path) -> Result<Self, ReportError> {
        let stages = Self::folders(folder)?.into_iter().map(|(name, folder)| {
            let optional = |name: &str| -> Result<Option<Value>, FileError> {
                let path = folder.join(name);
                path.exists().then(|| read_json(&path)).transpose()
            };
            Ok(StageReport {
                name,
                manifest: read_json(&folder.join("manifest.json"))?,
                look: optional("look.json")?,
                mix: optional("mix.json")?,
                card: optional("model.json")?,
            })
        });
        Ok(Self { folder: folder.to_path_buf(), stages: stages.collect::<Result<_, ReportError>>()? })
    }
}
