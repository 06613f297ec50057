//! What the documents amount to.

use std::collections::BTreeSet;

use tutelage_data::{Document, Split, read_documents};

use crate::RecipeError;
use crate::spec::RecipeSpec;

/// Documents counted.
#[derive(Debug, Clone)]
pub(crate) struct Corpus {
    pub(crate) documents: u64,
    pub(crate) text_bytes: u64,
    pub(crate) heldout_bytes: u64,
    /// Routes of documents.
    pub(crate) routes: BTreeSet<String>,
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

/// Reads all documents once: a broken one is better found now.
pub(super) fn scan(spec: &RecipeSpec) -> Result<Corpus, RecipeError> {
    let mut corpus = Corpus { documents: 0, text_bytes: 0, heldout_bytes: 0, routes: BTreeSet::new() };
    for path in &spec.data.documents {
        for document in read_documents(path, &spec.data.text_field)?.routed_by(spec.data.route_field.as_deref()) {
            let Document { text, route } = document?;
            corpus.routes.extend(route);
            corpus.documents += 1;
            corpus.text_bytes += text.len() as u64;
            if Split::of(&text, spec.data.heldout_fraction) == Split::HeldOut {
                corpus.heldout_bytes += text.len() as u64;
            }
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
