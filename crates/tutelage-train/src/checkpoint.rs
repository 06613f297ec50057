//! Checkpoints: `step-0000100/` with `model.safetensors`, `optimizer.safetensors` and `state.json`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tutelage_model::{Named, read_tensors, write_tensors};
use tutelage_run::{AtomicFolder, FileError, Hash, create_folder, hash_file, read_json, remove_folder, write_json};

use crate::metrics::{Interval, Lengths};
use crate::online::Learners;
use crate::{Learner, TrainError};

const FORMAT: &str = "tutelage-checkpoint-1";
/// What files of a teacher that learns begin with.
const TEACHER: &str = "teacher-";

/// `state.json`: everything that is not an array.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Always `tutelage-checkpoint-1`.
    pub format: String,
    /// Hash of all settings that shape the run; a checkpoint of others is refused.
    pub fingerprint: Hash,
    /// Steps done.
    pub step: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Running means of the metrics.
    pub interval: Interval,
    /// Lengths of the journals.
    pub lengths: Lengths,
    /// Hash of `model.safetensors`.
    pub model: Hash,
    /// Hash of `optimizer.safetensors`.
    pub optimizer: Hash,
    /// Hashes of the same of a teacher that learns: `teacher-model.safetensors`, `teacher-optimizer.safetensors`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<[Hash; 2]>,
    /// What a teacher has learned from rewards, see [`tutelage_loss::Rewarded::state`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewarded: Vec<f64>,
}

impl State {
    pub(crate) fn format() -> String {
        FORMAT.to_owned()
    }
}

/// Verifies a checkpoint's files; returns its state.
///
/// # Errors
/// When a file is missing or damaged.
pub fn verify(folder: &Path) -> Result<State, FileError> {
    let path = folder.join("state.json");
    let state: State = read_json(&path)?;
    if state.format != FORMAT {
        return Err(FileError::content(&path, format!("format '{}' where '{FORMAT}' is read", state.format)));
    }
    let mut files = vec![("model", &state.model), ("optimizer", &state.optimizer)];
    if let Some([model, optimizer]) = &state.teacher {
        files.extend([("teacher-model", model), ("teacher-optimizer", optimizer)]);
    }
    for (name, expected) in files {
        let path = folder.join(name).with_extension("safetensors");
        if hash_file(&path)? != *expected {
            return Err(FileError::content(&path, "is truncated or damaged: its hash is not the one in state.json"));
        }
    }
    Ok(state)
}

/// Checkpoints in a folder, newest first.
pub(crate) fn list(folder: &Path) -> Vec<(u64, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| {
            let step = entry.file_name().to_str()?.strip_prefix("step-")?.parse().ok()?;
            Some((step, entry.path()))
        })
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found
}

pub(crate) fn save(
    folder: &Path,
    learners: &Learners<'_>,
    keep: usize,
    step: u64,
    state: impl FnOnce(Hashes) -> State,
) -> Result<(), TrainError> {
    create_folder(folder)?;
    let new = AtomicFolder::create(&folder.join(format!("step-{step:07}")))?;
    let [model, optimizer] = write(new.inside(), "", &learners.student)?;
    let teacher = learners.tutor.as_ref().map(|tutor| write(new.inside(), TEACHER, &tutor.learner)).transpose()?;
    write_json(&new.inside().join("state.json"), &state(Hashes { model, optimizer, teacher }))?;
    new.commit()?;
    prune(folder, keep)
}

/// Of the files of a checkpoint.
pub(crate) struct Hashes {
    pub(crate) model: Hash,
    pub(crate) optimizer: Hash,
    pub(crate) teacher: Option<[Hash; 2]>,
}

/// Writes weights and moments of what learns; their hashes.
fn write(folder: &Path, prefix: &str, learner: &Learner) -> Result<[Hash; 2], TrainError> {
    let (params, moments) = (learner.model.params(), &learner.moments);
    let weights: Vec<Named<'_>> =
        params.learned().map(|(_, p)| (p.name().to_owned(), p.shape().to_vec(), p.values())).collect();
    let both = [("first_moment", &moments.first), ("second_moment", &moments.second)];
    let arrays: Vec<Named<'_>> = both
        .into_iter()
        .flat_map(|(kind, grads)| {
            params.learned().map(move |(id, p)| (format!("{kind}.{}", p.name()), p.shape().to_vec(), grads.get(id)))
        })
        .collect();
    let model = write_tensors(&folder.join(format!("{prefix}model.safetensors")), &weights)?;
    let optimizer = write_tensors(&folder.join(format!("{prefix}optimizer.safetensors")), &arrays)?;
    Ok([model, optimizer])
}

/// Removes all checkpoints but the newest `keep`.
fn prune(folder: &Path, keep: usize) -> Result<(), TrainError> {
    for (_, old) in list(folder).into_iter().skip(keep.max(1)) {
        remove_folder(&old)?;
    }
    Ok(())
}

/// The newest checkpoint that is whole, loaded into what learns; `note` is told of damaged ones. Where none is damaged, a
/// removal of old ones that was interrupted is made good.
pub(crate) fn resume(
    folder: &Path,
    keep: usize,
    fingerprint: &Hash,
    learners: &mut Learners<'_>,
    note: &mut dyn FnMut(&str),
) -> Result<Option<State>, TrainError> {
    let all = list(folder);
    for (i, (_, path)) in all.iter().enumerate() {
        match verify(path) {
            Ok(state) => {
                load(path, &state, fingerprint, learners)?;
                if i == 0 {
                    prune(folder, keep)?;
                }
                return Ok(Some(state));
            }
            Err(error) => note(&format!("checkpoint passed over: {error}")),
        }
    }
    match all.first() {
        Some((_, path)) => {
            Err(TrainError::Checkpoint { path: path.clone(), found: "no checkpoint here is whole".to_owned() })
        }
        None => Ok(None),
    }
}

fn load(folder: &Path, state: &State, fingerprint: &Hash, learners: &mut Learners<'_>) -> Result<(), TrainError> {
    if state.fingerprint != *fingerprint {
        let found = "is a checkpoint of a training with other settings, data or teacher".to_owned();
        return Err(TrainError::Checkpoint { path: folder.to_path_buf(), found });
    }
    read(folder, "", &mut learners.student)?;
    match &mut learners.tutor {
        Some(tutor) => read(folder, TEACHER, &mut tutor.learner),
        None => Ok(()),
    }
}

fn read(folder: &Path, prefix: &str, learner: &mut Learner) -> Result<(), TrainError> {
    let Learner { model, moments, .. } = learner;
    let params = model.params_mut();
    let ids: Vec<_> = params.learned().map(|(id, p)| (id, p.name().to_owned(), p.shape().to_vec())).collect();
    read_tensors(&folder.join(format!("{prefix}model.safetensors")), |array| {
        ids.iter().try_for_each(|(id, name, shape)| {
            params.values_mut(*id).copy_from_slice(&array(name, shape)?);
            Ok(())
        })
    })?;
    read_tensors(&folder.join(format!("{prefix}optimizer.safetensors")), |array| {
        ids.iter().try_for_each(|(id, name, shape)| {
            moments.first.get_mut(*id).copy_from_slice(&array(&format!("first_moment.{name}"), shape)?);
            moments.second.get_mut(*id).copy_from_slice(&array(&format!("second_moment.{name}"), shape)?);
            Ok(())
        })
    })?;
    Ok(())
}
