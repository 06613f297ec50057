//! What a report is made from.

use std::path::{Path, PathBuf};

use tutelage_run::records::{MetricsRecord, ModelSummary, Summary, ThroughputRecord};
use tutelage_run::{FileError, read_json, read_lines};

/// A report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The run is not finished.
    #[error("{} has no summary.json: it is no finished run; 'tutelage run' with its recipe finishes it", .0.display())]
    Unfinished(PathBuf),
}

impl ReportError {
    /// Whether the request was wrong, rather than the machine.
    pub fn is_request(&self) -> bool {
        match self {
            ReportError::File(error) => error.is_request(),
            ReportError::Unfinished(_) => true,
        }
    }
}

/// A finished run.
#[derive(Debug, Clone)]
pub struct RunData {
    /// Its folder.
    pub folder: PathBuf,
    /// Its results.
    pub summary: Summary,
    /// Its models, in the summary's order.
    pub models: Vec<ModelData>,
}

/// A model's result and its course.
#[derive(Debug, Clone)]
pub struct ModelData {
    /// Its result.
    pub summary: ModelSummary,
    /// Lines of `metrics.jsonl`.
    pub metrics: Vec<MetricsRecord>,
    /// Lines of `throughput.jsonl`.
    pub throughput: Vec<ThroughputRecord>,
}

impl RunData {
    /// Reads a run folder.
    ///
    /// # Errors
    /// When the run is not finished, or a file is missing or damaged.
    pub fn read(folder: &Path) -> Result<Self, ReportError> {
        if !folder.is_dir() {
            return Err(FileError::io("read", folder)(std::io::ErrorKind::NotFound.into()).into());
        }
        let path = folder.join("summary.json");
        if !path.exists() {
            return Err(ReportError::Unfinished(folder.to_path_buf()));
        }
        let summary: Summary = read_json(&path)?;
        let models = summary.models.iter().map(|model| {
            let stage = folder.join(&model.stage);
            let is_trained = !model.stage.is_empty();
            Ok(ModelData {
                summary: model.clone(),
                metrics: if is_trained { read_lines(&stage.join("metrics.jsonl"))? } else { Vec::new() },
                throughput: if is_trained { read_lines(&stage.join("throughput.jsonl"))? } else { Vec::new() },
            })
        });
        let models = models.collect::<Result<_, ReportError>>()?;
        Ok(Self { folder: folder.to_path_buf(), summary, models })
    }

    /// Names of the groups, in order.
    pub(crate) fn groups(&self) -> Vec<&str> {
        self.summary.groups.iter().map(|group| group.name.as_str()).collect()
    }

    /// The first model of a group.
    pub(crate) fn first_of(&self, group: &str) -> Option<&ModelData> {
        self.models.iter().find(|model| model.summary.group == group)
    }
}
