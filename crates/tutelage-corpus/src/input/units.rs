//! Which files there are to read: the units of work, in an order that does not depend on the machine.

use std::path::{Path, PathBuf};

use tutelage_run::{FileError, Hash, read_json};

use crate::CorpusError;
use crate::manifest::Manifest;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An object a line.
    Lines,
    /// A text a file.
    Text,
    /// A page a file.
    Html,
    /// Records of a crawl: pages (WARC) or texts (WET).
    Warc,
    /// A row a document.
    Parquet,
    /// What a stage has left that are no documents: tokens, a classifier.
    Other,
}

/// Files that are read by one reader and written to one file: one, or many small texts of a folder.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    /// How it is called in manifests: its file, or its folder.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) packing: Packing,
    pub(crate) files: Vec<PathBuf>,
    /// Bytes of all files.
    pub(crate) bytes: u64,
    /// What a manifest says its hash is, if another stage made it.
    pub(crate) expected: Option<Hash>,
    /// What its texts are named by: their path below this.
    pub(crate) root: PathBuf,
}

/// Texts of a folder that are one unit.
const TEXTS: usize = 4096;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Units {
    pub(crate) units: Vec<Unit>,
    /// Files of folders whose endings are none of ours.
    pub(crate) left_out: Vec<PathBuf>,
}

/// What to say of files of folders that are not read.
pub(crate) fn left_out_note(left_out: &[PathBuf]) -> Option<String> {
    let first = left_out.first()?;
    Some(format!("left out: {} files of other endings, such as {}", left_out.len(), first.display()))
}

/// Finds the units of `inputs`: files, folders of files, folders that another stage wrote.
///
/// # Errors
/// When there is nothing to read, a file that was named is of no known kind, or a stage has left no documents.
pub(crate) fn discover(inputs: &[PathBuf]) -> Result<Units, CorpusError> {
    let found = discover_any(inputs)?;
    match found.units.iter().find(|unit| unit.kind == Kind::Other) {
        Some(unit) => {
            let found = "is what a stage has left that leaves no documents (tokens, or a classifier)";
            Err(FileError::content(&unit.files[0], found).into())
        }
        None => Ok(found),
    }
}

/// The same, with what is no documents.
///
/// # Errors
/// When there is nothing to read, or a file that was named is of no known kind.
pub(crate) fn discover_any(inputs: &[PathBuf]) -> Result<Units, CorpusError> {
    let mut found = Units::default();
    for input in inputs {
        let metadata = std::fs::metadata(input).map_err(FileError::io("read", input))?;
        if !metadata.is_dir() {
            let Some((kind, packing)) = kind_of(input) else {
                return Err(
                    FileError::content(input, format!("its name says no kind of file that is read; {KINDS}")).into()
                );
            };
            found.units.push(Unit::of_file(input, kind, packing, metadata.len()));
        } else if input.join(Manifest::NAME).exists() {
            found.units.extend(of_stage(input)?);
        } else {
            is_no_unfinished_stage(input)?;
            of_folder(input, &mut found)?;
        }
    }
    if found.units.is_empty() {
        let names: Vec<String> = inputs.iter().map(|path| path.display().to_string()).collect();
        return Err(CorpusError::request(format!("nothing to read in {}; {KINDS}", names.join(", "))));
    }
    Ok(found)
}

const KINDS: &str = "files end in .jsonl, .txt, .md, .html, .warc or .wet, perhaps with .gz or .zst after it, or in .parquet, or are folders of them";

/// By the name's ending.
fn kind_of(path: &Path) -> Option<(Kind, Packing)> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let (name, packing) = match name.rsplit_once('.')? {
        (inner, "gz") => (inner, Packing::Gzip),
        (inner, "zst") => (inner, Packing::Zstd),
        _ => (&name[..], Packing::Plain),
    };
    let kind = match name.rsplit_once('.')?.1 {
        "jsonl" | "ndjson" => Kind::Lines,
        "txt" | "text" | "md" => Kind::Text,
        "html" | "htm" | "xhtml" => Kind::Html,
        "warc" | "wet" => Kind::Warc,
        "parquet" if packing == Packing::Plain => Kind::Parquet,
        _ => return None,
    };
    Some((kind, packing))
}

impl Unit {
    fn of_file(path: &Path, kind: Kind, packing: Packing, bytes: u64) -> Self {
        Self {
            name: path.display().to_string(),
            kind,
            packing,
            files: vec![path.to_path_buf()],
            bytes,
            expected: None,
            root: path.parent().unwrap_or(Path::new("")).to_path_buf(),
        }
    }

    /// Whether all that was read has the hash that a manifest says, if there is one.
    ///
    /// # Errors
    /// When it has not.
    pub(crate) fn is_as_expected(&self, hash: &Hash) -> Result<(), FileError> {
        if self.expected.as_ref().is_some_and(|expected| expected != hash) {
            let found = "is not what its manifest says: it was damaged or changed; make that stage again";
            return Err(FileError::content(&self.files[0], found));
        }
        Ok(())
    }
}

/// The outputs of a stage, which have to be what its manifest says.
fn of_stage(folder: &Path) -> Result<Vec<Unit>, CorpusError> {
    let manifest: Manifest = read_json(&folder.join(Manifest::NAME))?;
    let mut units = Vec::new();
    for output in &manifest.outputs {
        let path = folder.join(&output.file);
        let bytes = std::fs::metadata(&path).map_err(FileError::io("read", &path))?.len();
        if bytes != output.bytes {
            let found = format!(
                "has {bytes} bytes where {} says {}: it was cut or changed; make the stage '{}' again",
                Manifest::NAME,
                output.bytes,
                manifest.stage
            );
            return Err(FileError::content(&path, found).into());
        }
        let (kind, packing) = match kind_of(&path) {
            Some((Kind::Lines, packing)) => (Kind::Lines, packing),
            _ => (Kind::Other, Packing::Plain),
        };
        let expected = Some(output.hash.clone());
        units.push(Unit { expected, ..Unit::of_file(&path, kind, packing, bytes) });
    }
    Ok(units)
}

/// A stage that is not done has files that look like any others; they would be read as if they were all.
fn is_no_unfinished_stage(folder: &Path) -> Result<(), CorpusError> {
    let io = |error| FileError::io("read", folder)(error);
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let name = entry.map_err(io)?.file_name().to_string_lossy().into_owned();
        let found = if name.starts_with("manifest-") && name.ends_with(".json") {
            format!("holds parts of a stage ({name}): bring them together first, with 'tutelage data merge'")
        } else if name.starts_with(".work") || name == ".dedup" || name == ".formatted" {
            "holds a stage that is not done: give its command again, it goes on from there".to_owned()
        } else {
            continue;
        };
        return Err(FileError::content(folder, found).into());
    }
    Ok(())
}

/// Every file below, in the order of their names; small texts together.
fn of_folder(folder: &Path, found: &mut Units) -> Result<(), CorpusError> {
    let mut files = Vec::new();
    walk(folder, &mut files)?;
    files.sort();
    let mut small: Vec<(Kind, Packing, PathBuf, u64)> = Vec::new();
    for (path, bytes) in files {
        match kind_of(&path) {
            None => found.left_out.push(path),
            Some((kind @ (Kind::Text | Kind::Html), packing)) => small.push((kind, packing, path, bytes)),
            Some((kind, packing)) => found.units.push(Unit::of_file(&path, kind, packing, bytes)),
        }
    }
    // Files of one kind that follow each other go together.
    for run in small.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        for part in run.chunks(TEXTS) {
            let (kind, packing, first, _) = &part[0];
            found.units.push(Unit {
                name: first.display().to_string(),
                kind: *kind,
                packing: *packing,
                files: part.iter().map(|(_, _, path, _)| path.clone()).collect(),
                bytes: part.iter().map(|(_, _, _, bytes)| bytes).sum(),
                expected: None,
                root: folder.to_path_buf(),
            });
        }
    }
    Ok(())
}

fn walk(folder: &Path, out: &mut Vec<(PathBuf, u64)>) -> Result<(), FileError> {
    let io = |error| FileError::io("read", folder)(error);
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        let metadata = std::fs::metadata(&path).map_err(FileError::io("read", &path))?;
        match metadata.is_dir() {
            true => walk(&path, out)?,
            false => out.push((path, metadata.len())),
        }
    }
    Ok(())
}
