//! What the documents amount to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tutelage_data::{ShardManifest, Split};
use tutelage_mix::MixReport;
use tutelage_run::{FileError, hash_bytes, read_json};

use super::TokenizerPlan;
use crate::RecipeError;
use crate::documents::{Document, Documents};
use crate::spec::RecipeSpec;

/// Documents counted.
#[derive(Debug, Clone)]
pub(crate) struct Corpus {
    pub(crate) documents: u64,
    pub(crate) text_bytes: u64,
    pub(crate) heldout_bytes: u64,
    /// Routes of documents.
    pub(crate) routes: BTreeSet<String>,
    /// The shards, where they are there already.
    pub(crate) mixed: Option<Mixed>,
}

/// A mixture's phase.
#[derive(Debug, Clone)]
pub(crate) struct Mixed {
    /// `NAME` of `NAME.bin`.
    pub(crate) train: PathBuf,
    pub(crate) heldout: PathBuf,
    pub(crate) train_tokens: u64,
    pub(crate) heldout_tokens: u64,
    /// Hashes of both.
    pub(crate) fingerprint: String,
}

impl Corpus {
    /// Says so if no document has this route.
    pub(super) fn check_route(&self, route: &str) -> Result<(), String> {
        if self.routes.contains(route) {
            return Ok(());
        }
        let known = self.routes.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        Err(format!("no document has the route '{route}'; there is: {known}"))
    }
}

/// What a mixture holds, by what its shards say of themselves.
fn mixed(spec: &RecipeSpec, folder: &Path, tokenizer: &TokenizerPlan) -> Result<Corpus, RecipeError> {
    let report: MixReport = read_json(&folder.join("mix.json"))?;
    let wrong = |found: String| RecipeError::from(FileError::content(folder, found));
    let names: Vec<&str> = report.phases.iter().map(|phase| &phase.name[..]).collect();
    let known = names.join(", ");
    let phase = match (&spec.data.phase, &names[..]) {
        (Some(name), _) if names.contains(&&name[..]) => name,
        (Some(name), _) => return Err(wrong(format!("has no phase '{name}' (data.phase); it has {known}"))),
        (None, [name]) => *name,
        (None, _) => return Err(wrong(format!("has several phases: choose one with data.phase: {known}"))),
    };
    if report.heldout.is_none() {
        let found = "holds no documents out, and models are evaluated on them: mix with heldout_fraction=0.005, say";
        return Err(wrong(found.to_owned()));
    }
    if let TokenizerPlan::Given { path, beside } = tokenizer
        && hash_bytes(beside.tokenizer.to_json()?.as_bytes()) != report.tokenizer
    {
        let place = folder.join("tokenizer");
        return Err(wrong(format!(
            "was made with another tokenizer than {}: set tokenizer.from = \"{}\"",
            path.display(),
            place.display()
        )));
    }
    let [train, heldout] = [phase, "heldout"].map(|name| folder.join(name));
    let [of_train, of_heldout] =
        [&train, &heldout].map(|stem| read_json::<ShardManifest>(&stem.with_extension("json")));
    let (of_train, of_heldout) = (of_train?, of_heldout?);
    Ok(Corpus {
        documents: of_train.documents + of_heldout.documents,
        text_bytes: of_train.text_bytes + of_heldout.text_bytes,
        heldout_bytes: of_heldout.text_bytes,
        routes: of_train.routes.iter().cloned().collect(),
        mixed: Some(Mixed {
            train,
            heldout,
            train_tokens: of_train.tokens,
            heldout_tokens: of_heldout.tokens,
            fingerprint: format!("mix {} {} {:?}", of_train.bin, of_heldout.bin, (of_train.route, of_heldout.route)),
        }),
    })
}

/// Reads all documents once: a broken one is better found now.
pub(super) fn scan(spec: &RecipeSpec, tokenizer: &TokenizerPlan) -> Result<Corpus, RecipeError> {
    if let Some(folder) = &spec.data.mix {
        return mixed(spec, folder, tokenizer);
    }
    let mut corpus = Corpus { documents: 0, text_bytes: 0, heldout_bytes: 0, routes: BTreeSet::new(), mixed: None };
    for document in Documents::of(&spec.data).read()? {
        let Document { text, route } = document?;
        corpus.routes.extend(route);
        corpus.documents += 1;
        corpus.text_bytes += text.len() as u64;
        if Split::of(&text, spec.data.heldout_fraction) == Split::HeldOut {
            corpus.heldout_bytes += text.len() as u64;
        }
    }
    if corpus.documents == 0 {
        let names: Vec<String> = spec.data.documents.iter().map(|p| p.display().to_string()).collect();
        return Err(RecipeError::request(format!("the corpus is empty: no text in {}", names.join(", "))));
    }
    for (bytes, part) in [(corpus.heldout_bytes, "held-out"), (corpus.text_bytes - corpus.heldout_bytes, "training")] {
        if bytes == 0 {
            return Err(RecipeError::request(format!(
                "no document falls into the {part} part of {}: add documents or change data.heldout_fraction",
                corpus.documents
            )));
        }
    }
    Ok(corpus)
}
