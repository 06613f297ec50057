//! The folder of a capture.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tutelage_run::{FileError, Hash, Hasher};

use super::coding::Coding;
use super::files::{CaptureFile, read_yaml};
use super::record::Document;
use super::source::Context;
use crate::CacheError;

const CONFIG: &str = "compression_config.yaml";

/// A capture as it lies on disk.
#[derive(Debug, Clone)]
pub struct Capture {
    folder: PathBuf,
    pub(super) files: Vec<PathBuf>,
    pub(super) coding: Coding,
    n_records: u64,
    hash: Hash,
}

impl Capture {
    /// Opens a folder with Parquet files, in it or in its `data/`, and reads how they are packed.
    ///
    /// # Errors
    /// When there are none, one is not whole, or nothing says how they are packed.
    pub fn open(folder: &Path) -> Result<Self, CacheError> {
        let files = parquet_files(folder)?;
        let mut hasher = Hasher::default();
        let mut coding = None;
        let mut n_records = 0;
        for path in &files {
            let file = CaptureFile::open(path)?;
            n_records += file.n_records();
            hasher.part(&footer(path).map_err(FileError::io("read", path))?);
            coding.get_or_insert(coding_of(folder, path, &file)?);
        }
        let Some(coding) = coding else { return Err(nothing(folder)) };
        hasher.part(format!("{coding:?}").as_bytes());
        Ok(Self { folder: folder.to_path_buf(), files, coding, n_records, hash: hasher.finish() })
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Parquet files.
    pub fn n_files(&self) -> usize {
        self.files.len()
    }

    /// Documents, or rows that several were packed into.
    pub fn n_records(&self) -> u64 {
        self.n_records
    }

    /// Stands for the teacher, whom a capture does not name, and for what that one may have read: a hash of how it is packed, and of its files'
    /// lengths and tables of contents.
    pub fn hash(&self, context: Context) -> Hash {
        match context {
            Context::Same => self.hash.clone(),
            Context::Longer => {
                Hasher::default().part(b"longer context").part(self.hash.to_string().as_bytes()).finish()
            }
        }
    }

    /// Gives all documents, each with the number of its record, until `each` says false.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn documents(&self, each: &mut dyn FnMut(u64, &Document<'_>) -> bool) -> Result<(), CacheError> {
        let mut number = 0;
        let mut goes_on = true;
        for path in &self.files {
            let file = CaptureFile::open(path)?;
            file.records(&self.coding, &mut |record| {
                for ids in record.documents().map_err(|found| file.fault(found))? {
                    goes_on = goes_on && each(number, &record.document(ids, &self.coding));
                }
                number += 1;
                Ok(goes_on)
            })?;
            if !goes_on {
                break;
            }
        }
        Ok(())
    }

    /// Says so if it cannot give `top_k` entries of tokens of a vocabulary of this size.
    ///
    /// # Errors
    /// When it holds fewer entries, or packs smaller ids.
    pub fn check(&self, top_k: usize, vocab_size: usize) -> Result<(), CacheError> {
        let fault = |found: String| Err(FileError::content(&self.folder, found).into());
        if let Some(k) = self.coding.k().filter(|&k| k < top_k) {
            return fault(format!("holds {k} entries of each token, and top_k = {top_k} are asked for; lower top_k"));
        }
        match self.coding.vocab_size().filter(|&d| d < vocab_size) {
            Some(d) => fault(format!("its ids are packed for a vocabulary of {d}, and the tokenizer has {vocab_size}")),
            None => Ok(()),
        }
    }
}

fn nothing(folder: &Path) -> CacheError {
    let is_arrow =
        |folder: &Path| names(folder).is_ok_and(|names| names.iter().any(|path| has_extension(path, "arrow")));
    let hint = match is_arrow(folder) {
        true => "; it has Arrow files, as datasets.save_to_disk writes them: write them again with Dataset.to_parquet",
        false => "",
    };
    FileError::content(folder, format!("holds no Parquet file (*.parquet), nor does its data/{hint}")).into()
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

fn names(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let entries = std::fs::read_dir(folder).map_err(FileError::io("read the folder", folder))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>().map_err(FileError::io("read the folder", folder))?;
    paths.sort();
    Ok(paths)
}

fn parquet_files(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let of = |folder: &Path| -> Result<Vec<PathBuf>, FileError> {
        Ok(names(folder)?.into_iter().filter(|path| has_extension(path, "parquet")).collect())
    };
    let (found, data) = (of(folder)?, folder.join("data"));
    if found.is_empty() && data.is_dir() { of(&data) } else { Ok(found) }
}

/// Length of a Parquet file, and its table of contents, which lies at its end before its length and a magic.
fn footer(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    let mut tail = [0; 8];
    file.seek(SeekFrom::End(-8))?;
    file.read_exact(&mut tail)?;
    let metadata = u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]);
    file.seek(SeekFrom::Start(length.saturating_sub(8 + u64::from(metadata))))?;
    let mut out = length.to_le_bytes().to_vec();
    file.read_to_end(&mut out)?;
    Ok(out)
}

/// How a file's entries are packed, by its columns.
fn coding_of(folder: &Path, path: &Path, file: &CaptureFile) -> Result<Coding, CacheError> {
    let fault = |path: &Path, found: String| CacheError::from(FileError::content(path, found));
    if file.has("token_ids") && file.has("top_values") {
        return Ok(Coding::Plain);
    }
    let is_legacy = file.has("packed_indices");
    if !is_legacy && !file.has("compressed_logprobs") {
        let found = "has no entries of a teacher: neither 'compressed_logprobs' and 'bytepacked_indices', nor 'packed_indices', \
                     'exact_values' and 'coeffs', nor 'token_ids' and 'top_values'";
        return Err(fault(path, found.to_owned()));
    }
    let config = folder.join(CONFIG);
    if !config.exists() {
        let found = "is not there, and says how the entries are packed: write what the capture was made with (the keys of \
                     logprob_compressor, or of legacy_logit_compression)";
        return Err(fault(&config, found.to_owned()));
    }
    let coding = Coding::from_config(read_yaml(&config)?);
    let coding = coding.map_err(|error| fault(&config, format!("is no configuration of DistillKit's: {error}")))?;
    match (&coding, is_legacy) {
        (Coding::Legacy(_), true) | (Coding::Quantised(_), false) => Ok(coding),
        _ => {
            let (found, other) = ("is of another kind than the files, which have the columns of", is_legacy);
            let name = if other { "legacy_logit_compression" } else { "logprob_compressor" };
            Err(fault(&config, format!("{found} {name}")))
        }
    }
}
