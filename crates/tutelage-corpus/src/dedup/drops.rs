//! The second pass: of every cluster one document is kept.

use rustc_hash::FxHashMap;
use serde_json::json;

use super::clusters::Sets;
use super::rows::{Keyed, Rows};
use crate::job::{At, DocumentStage, Tally};
use crate::{Manifest, Reason, Record};

/// Which documents are copies of which.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// Names of the units, and the number of the first document of each.
    units: Vec<(String, u32)>,
    /// Of each document the first one of its cluster.
    roots: Vec<u32>,
    /// Of clusters of more than one, by that first one.
    clusters: FxHashMap<u32, Cluster>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cluster {
    size: u64,
    rank: u64,
    kept: u32,
}

impl Copies {
    /// From the sets, and the ranks of all documents that have any, in order.
    pub(super) fn new(
        units: Vec<(String, u32)>,
        n: u32,
        sets: &mut Sets,
        ranks: impl Iterator<Item = (u32, u64)>,
    ) -> Self {
        let roots: Vec<u32> = (0..n).map(|document| sets.root(document)).collect();
        let others = (0..n).zip(&roots).filter(|(document, root)| document != *root);
        let mut clusters: FxHashMap<u32, Cluster> = others.map(|(_, &root)| (root, Cluster::default())).collect();
        for (document, rank) in ranks {
            if let Some(cluster) = clusters.get_mut(&roots[document as usize]) {
                // Of several with the highest rank the first.
                if cluster.size == 0 || rank > cluster.rank {
                    (cluster.rank, cluster.kept) = (rank, document);
                }
                cluster.size += 1;
            }
        }
        Self { units, roots, clusters }
    }

    pub(super) fn n_clusters(&self) -> usize {
        self.clusters.len()
    }

    fn document(&self, at: At) -> u32 {
        let first = self.units.get(at.unit as usize).map_or(0, |(_, first)| *first);
        first + at.index as u32
    }

    /// The cluster of a document, if it has copies.
    fn cluster(&self, document: u32) -> Option<&Cluster> {
        self.clusters.get(self.roots.get(document as usize)?)
    }

    /// Where a document stands: file, and which document of it, counted from one.
    fn place(&self, document: u32) -> serde_json::Value {
        let unit = self.units.partition_point(|(_, first)| *first <= document).saturating_sub(1);
        let (file, first) = self.units.get(unit).map_or(("", 0), |(file, first)| (&file[..], *first));
        json!({ "file": file, "document": document - first + 1 })
    }
}

/// Drops what is a copy of something that is kept.
#[derive(Debug)]
pub(super) struct Drops<'s> {
    name: &'static str,
    rows: &'s Rows<'s>,
    copies: Copies,
}

impl<'s> Drops<'s> {
    pub(super) fn new(name: &'static str, rows: &'s Rows<'s>, copies: Copies) -> Self {
        Self { name, rows, copies }
    }

    fn reason(&self) -> Reason {
        match self.rows.keyed {
            Keyed::ByBands => Reason::NearDuplicate,
            Keyed::ByText => Reason::ExactDuplicate,
        }
    }
}

impl DocumentStage for Drops<'_> {
    type Worker = ();

    fn name(&self) -> &'static str {
        self.name
    }

    fn settings(&self) -> serde_json::Value {
        self.rows.settings()
    }

    fn worker(&self) {}

    fn apply(&self, (): &mut (), record: &mut Record, at: At, tally: &mut Tally) -> Result<(), Reason> {
        let document = self.copies.document(at);
        let Some(cluster) = self.copies.cluster(document) else { return Ok(()) };
        if cluster.kept == document {
            tally.add("dedup_clusters", 1);
            if self.rows.settings.note_copies {
                record.note("copies", &cluster.size);
            }
            return Ok(());
        }
        record.set("duplicate_of", &self.copies.place(cluster.kept));
        Err(self.reason())
    }

    fn filters(&self, manifest: &Manifest) -> Vec<(String, u64)> {
        // Where it is the end of another stage nobody has asked for it.
        match self.name == "dedup" {
            true => vec![("copies".to_owned(), manifest.dropped_for(self.reason()))],
            false => Vec::new(),
        }
    }

    fn warnings(&self, manifest: &Manifest) -> Vec<String> {
        let share = 1.0 - manifest.kept as f64 / manifest.read.max(1) as f64;
        if manifest.read >= 100 && share > 0.95 {
            return vec![format!(
                "{:.1} % of the documents were dropped as copies: is the text in '{}' the whole document?",
                100.0 * share,
                manifest.settings["text_field"].as_str().unwrap_or("text")
            )];
        }
        Vec::new()
    }
}
