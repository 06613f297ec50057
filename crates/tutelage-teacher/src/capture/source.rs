//! Targets for a cache, from a capture.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use tutelage_data::{Batch, IGNORED, PackedSet};
use tutelage_loss::truncate::mass_end;
use tutelage_run::{FileError, FileLock, Hash, Hasher, StopFlag, create_folder};

use super::coverage::Coverage;
use super::files::CaptureFile;
use super::folder::Capture;
use super::index::{Index, first_key};
use super::spool::{self, Spool};
use crate::CacheError;
use crate::cache::{CacheHeader, Kept, Row, Source};

/// Between two looks at what other writers have laid out.
const PAUSE: Duration = Duration::from_millis(200);

/// The rows of a capture, for the documents that begin as its own do.
///
/// A student's document, or the part of it that a sequence holds, is looked up by its ids. Its row `i` is taught by a captured document's row
/// `i` where the `i + 1` ids that both have read are the same; all other rows have no teacher. With [`Context::Longer`] the part of a document
/// that began in another sequence is looked up with what came before it.
#[derive(Debug)]
pub struct CaptureSource<'a> {
    capture: &'a Capture,
    set: &'a PackedSet,
    context: Context,
    spools: Vec<Spool>,
    index: Index,
    top_p: f64,
    top_k: usize,
    vocab_size: usize,
    /// What has been found so far.
    pub coverage: Coverage,
}

/// What a teacher may have read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// What its student reads, exactly.
    Same,
    /// As much more of a document as lies in the sequences before.
    Longer,
}

/// The parts of documents of a batch, each with what the teacher may have read before it.
fn parts<'b>(
    set: &'b PackedSet,
    context: Context,
    batch: &'b Batch,
) -> impl Iterator<Item = (Range<usize>, Vec<i32>)> + 'b {
    batch.sequences.iter().flat_map(move |(sequence, rows)| {
        let inside = batch.documents.iter().filter(|document| rows.contains(&document.start));
        inside.enumerate().map(move |(place, document)| {
            let before = match context {
                Context::Longer => set.before(*sequence, place),
                Context::Same => Vec::new(),
            };
            (document.clone(), before)
        })
    })
}

impl<'a> CaptureSource<'a> {
    /// Lays the documents out that `sequences` of `set` begin with, in `scratch`, unless they are there already for such a cache; nothing if it was
    /// asked to stop. `progress` is told how many of the capture's files have been laid out.
    ///
    /// # Errors
    /// When the capture cannot be read, or has none of the documents.
    pub fn open(
        (capture, context): (&'a Capture, Context),
        header: &CacheHeader,
        (set, sequences): (&'a PackedSet, &[usize]),
        scratch: &Path,
        stop: &StopFlag,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Option<Self>, CacheError> {
        let &Kept::TopPK { top_p, top_k } = &header.kept else {
            return Err(FileError::content(capture.folder(), "has no samples; set top_k in place of samples").into());
        };
        capture.check(top_k, header.vocab_size)?;
        create_folder(scratch)?;
        let mut wanted = HashSet::new();
        for batch in sequences.iter().map(|&sequence| Batch::new(set, &[sequence])) {
            let ids = parts(set, context, &batch).map(|(rows, before)| [&before, &batch.ids[rows]].concat());
            wanted.extend(ids.filter_map(|ids| first_key(&ids)));
        }
        let of = Hasher::default().part(format!("{header:?}").as_bytes()).finish();
        let mut spools = Vec::new();
        for (number, file) in capture.files.iter().enumerate() {
            let path = spool::path(scratch, number);
            let Some(spool) = lay_out(capture, file, (&path, &of), &wanted, stop)? else { return Ok(None) };
            spools.push(spool);
            progress(number + 1);
        }
        if spools.iter().all(|spool| spool.n_documents() == 0) {
            return Err(stranger(capture, set)?);
        }
        let index = Index::new(&spools)?;
        Ok(Some(Self {
            capture,
            set,
            context,
            spools,
            index,
            top_p,
            top_k,
            vocab_size: header.vocab_size,
            coverage: Coverage::default(),
        }))
    }

    /// Removes what was laid out.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn remove(self) -> Result<(), CacheError> {
        for path in self.spools.iter().map(Spool::path) {
            match std::fs::remove_file(path) {
                // Another writer was faster.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                result => result.map_err(FileError::io("remove", path))?,
            }
        }
        Ok(())
    }
}

impl Source for CaptureSource<'_> {
    fn rows(&mut self, batch: &Batch) -> Result<Vec<Row>, CacheError> {
        let Self { capture, set, context, spools, index, coverage, .. } = self;
        let mut out = vec![Row::new(); batch.ids.len()];
        coverage.rows += batch.n_targets() as u64;
        for (rows, before) in parts(set, *context, batch) {
            let ids = [&before, &batch.ids[rows.clone()]].concat();
            let Some((document, covered)) = index.find(spools, &ids)? else { continue };
            for (i, at) in (before.len()..covered).zip(rows) {
                if batch.labels[at] == IGNORED {
                    continue;
                }
                let mut row = coverage.keep(capture.coding.decode(&document.row(i)), self.vocab_size);
                coverage.listen(&row, &document.ids[i..]);
                row.truncate(mass_end(row.iter().map(|entry| entry.1), self.top_p as f32));
                row.truncate(self.top_k);
                out[at] = row;
            }
        }
        coverage.judge().map_err(|found| FileError::content(capture.folder(), found))?;
        Ok(out)
    }
}

/// Opens what is laid out of a file, or lays it out; several processes may do so at once.
fn lay_out(
    capture: &Capture,
    file: &Path,
    (path, of): (&Path, &Hash),
    wanted: &HashSet<u64>,
    stop: &StopFlag,
) -> Result<Option<Spool>, CacheError> {
    loop {
        if let Some(spool) = Spool::open(path, of)? {
            return Ok(Some(spool));
        }
        if stop.is_raised() {
            return Ok(None);
        }
        let Some(lock) = FileLock::try_acquire(&path.with_extension("claim"))? else {
            std::thread::sleep(PAUSE);
            continue;
        };
        // Another may have finished it between the look and the lock.
        if Spool::open(path, of)?.is_none() {
            let wanted = |ids: &[i32]| first_key(ids).is_some_and(|key| wanted.contains(&key));
            spool::write((path, of), &CaptureFile::open(file)?, &capture.coding, &wanted, stop)?;
        }
        lock.remove()?;
    }
}

/// None of the documents is in the capture: says how both begin.
fn stranger(capture: &Capture, set: &PackedSet) -> Result<CacheError, CacheError> {
    let mut theirs = Vec::new();
    if let Some(file) = capture.files.first() {
        CaptureFile::open(file)?.records(&capture.coding, &mut |record| {
            theirs = record.ids;
            Ok(false)
        })?;
    }
    let ours = set.sequence(0);
    let ours = &ours.ids[ours.documents.first().cloned().unwrap_or_default()];
    let few = |ids: &[i32]| format!("{:?}", &ids[..ids.len().min(8)]);
    let found = format!(
        "has none of the documents: its first one has the ids {}, the corpus's {}; it must be of the same texts, by the same tokenizer (does \
         one of them begin with a token that begins documents? add_bos_token in tokenizer_config.json decides)",
        few(&theirs),
        few(ours)
    );
    Ok(FileError::content(capture.folder(), found).into())
}
