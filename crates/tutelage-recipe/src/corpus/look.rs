//! What a report shows of a stage's documents, beside its manifest: `look.json` in its folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tutelage_corpus::{Change, JobSettings, Manifest, Stats, diff, read_manifest, stats};
use tutelage_run::{Hash, Observer, hash_file, read_json, write_json};

use crate::RecipeError;

/// `look.json`.
#[derive(Debug, Serialize)]
struct Look {
    /// Hash of the manifest that it was made beside.
    manifest: Hash,
    kept: Stats,
    /// What lies aside, where it was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<Stats>,
    /// A few documents before and after.
    examples: Vec<Change>,
}

#[derive(Debug, Deserialize)]
struct Known {
    manifest: Hash,
}

/// Documents of each kind and reason that are shown.
const EXAMPLES: usize = 2;
/// Characters of them.
const SHOWN: usize = 1500;
/// Documents, at most, that are matched by their ids, which takes some tens of bytes each.
const MATCHED: u64 = 5_000_000;

/// Makes `look.json` of a stage's folder, unless it is there; stages that leave no documents have none.
///
/// # Errors
/// When a file is missing or damaged, or the system refuses.
pub fn look(folder: &Path, observer: &mut dyn Observer) -> Result<(), RecipeError> {
    let manifest = read_manifest(folder)?;
    let leaves_documents =
        |file: &String| [".jsonl", ".jsonl.gz", ".jsonl.zst"].iter().any(|ending| file.ends_with(ending));
    if manifest.outputs.is_empty() || !manifest.outputs.iter().all(|output| leaves_documents(&output.file)) {
        return Ok(());
    }
    let path = folder.join("look.json");
    let hash = hash_file(&folder.join(Manifest::NAME))?;
    if path.exists() && read_json::<Known>(&path)?.manifest == hash {
        return Ok(());
    }
    let text_field = manifest.settings["text_field"].as_str().unwrap_or("text").to_owned();
    let settings = JobSettings { text_field, ..JobSettings::default() };
    let kept = stats(&[folder.to_path_buf()], &settings, observer)?;
    let aside = folder.join("dropped");
    let dropped = if aside.exists() { Some(stats(&[aside], &settings, observer)?) } else { None };
    let mut examples = examples(folder, &manifest, &settings);
    for text in examples.iter_mut().flat_map(|change| [&mut change.before, &mut change.after]) {
        if let Some((end, _)) = text.char_indices().nth(SHOWN) {
            text.truncate(end);
            text.push_str(" ...");
        }
    }
    write_json(&path, &Look { manifest: hash, kept, dropped, examples })?;
    Ok(())
}

/// Documents before and after; none where what was before is not there any more, or has no ids.
fn examples(folder: &Path, manifest: &Manifest, settings: &JobSettings) -> Vec<Change> {
    if manifest.read > MATCHED || manifest.inputs.iter().any(|input| input.files > 1) {
        return Vec::new();
    }
    let before: Vec<PathBuf> = manifest.inputs.iter().map(|input| PathBuf::from(&input.file)).collect();
    diff(&before, folder, settings, EXAMPLES).map_or_else(|_| Vec::new(), |diff| diff.changes)
}
