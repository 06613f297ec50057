//! Runs of words that stand in evaluation sets.

use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use tutelage_run::{Hash, hash_file};

use super::DecontaminateSettings;
use super::sets::{files, items};
use crate::CorpusError;
use crate::words::{run_hash, word_hashes};

/// Where a run of words stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    /// Which set.
    pub(super) set: u32,
    /// Which file of all.
    pub(super) file: u32,
    /// Which item of the file, counted from one.
    pub(super) item: u32,
}

/// The runs of all sets. Items shorter than a run are a run of their own, if they are long enough to be no accident.
#[derive(Debug, Default)]
pub(super) struct Index {
    runs: FxHashMap<u64, Source>,
    /// Of items that are shorter than a run, by their number of words.
    short: Vec<(usize, FxHashMap<u64, Source>)>,
    pub(super) sets: Vec<String>,
    pub(super) files: Vec<(PathBuf, Hash)>,
    pub(super) items: u64,
    pub(super) too_short: u64,
}

impl Index {
    pub(super) fn new(settings: &DecontaminateSettings) -> Result<Self, CorpusError> {
        let mut index = Self::default();
        for path in &settings.sets {
            let set = index.sets.len() as u32;
            index.sets.push(name_of(path));
            for file in files(path)? {
                let number = index.files.len() as u32;
                index.files.push((file.clone(), hash_file(&file)?));
                for item in items(&file, &settings.fields)? {
                    index.add(&item.text, Source { set, file: number, item: item.place }, settings);
                }
            }
        }
        index.short.sort_by_key(|(len, _)| *len);
        Ok(index)
    }

    fn add(&mut self, text: &str, source: Source, settings: &DecontaminateSettings) {
        let mut words = Vec::new();
        word_hashes(text, |hash, _| words.push(hash));
        self.items += 1;
        if words.len() >= settings.n_gram {
            for run in words.windows(settings.n_gram) {
                // The first item that has it is named.
                self.runs.entry(run_hash(run)).or_insert(source);
            }
        } else if words.len() >= settings.min_item_words {
            let at = match self.short.iter().position(|(len, _)| *len == words.len()) {
                Some(at) => at,
                None => {
                    self.short.push((words.len(), FxHashMap::default()));
                    self.short.len() - 1
                }
            };
            self.short[at].1.entry(run_hash(&words)).or_insert(source);
        } else {
            self.too_short += 1;
        }
    }

    /// Every run of the document's words that stands in a set: its first word, how many words, and where it stands.
    pub(super) fn find(&self, words: &[u64], n: usize, mut take: impl FnMut(usize, usize, Source)) {
        let tables = self.short.iter().map(|(len, table)| (*len, table)).chain([(n, &self.runs)]);
        for (len, table) in tables.filter(|(_, table)| !table.is_empty()) {
            for (at, run) in words.windows(len).enumerate() {
                if let Some(&source) = table.get(&run_hash(run)) {
                    take(at, len, source);
                }
            }
        }
    }
}

/// What a set is called: its file or folder.
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    name.split('.').next().filter(|stem| !stem.is_empty()).unwrap_or(&name).to_owned()
}
