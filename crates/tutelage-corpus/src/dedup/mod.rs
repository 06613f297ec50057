//! The stage `dedup`: of documents that are copies one is kept.
//!
//! A first pass turns every document into a row of keys; documents that share a key are joined to clusters; a second pass writes
//! what is kept. The passes are jobs like any other, so both go on inside a file; the clusters between them are a function
//! of the rows, whatever the number of threads.

mod bands;
mod clusters;
mod date;
mod drops;
mod minhash;
mod rows;
mod settings;
mod shingles;
mod substrings;
#[cfg(test)]
mod tests;

pub use bands::Bands;
pub use settings::{DedupMethod, DedupSettings, Keep};

use std::path::Path;

use tutelage_run::{Event, MappedFile, Observer, StopFlag, remove_folder};

use crate::job::{Compression, Job, JobSettings, Outcome, ShardOf, read_manifest};
use crate::{CorpusError, Manifest};
use clusters::{Sets, join_by_keys};
use drops::{Copies, Drops};
use rows::{Keyed, Rows};

/// Carries out the stage, or goes on with it.
///
/// # Errors
/// When a setting cannot be, only a part of the inputs is asked for, an intermediate is damaged, or the system refuses.
pub fn dedup(
    job: &Job<'_>,
    settings: &DedupSettings,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, CorpusError> {
    dedup_by(job, settings, None, observer, stop)
}

/// The same, where another than this process may find who shares keys; the kept set does not depend on who.
///
/// # Errors
/// As [`dedup`], or when the other fails.
pub fn dedup_by(
    job: &Job<'_>,
    settings: &DedupSettings,
    join: Option<&dyn JoinCopies>,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, CorpusError> {
    if job.shard.is_part() {
        return Err(CorpusError::request(
            "--shard: copies may lie in different parts, so 'dedup' reads all of them; shard the stages before and after it",
        ));
    }
    settings.check()?;
    let keyed = match settings.method {
        DedupMethod::Minhash => Keyed::ByBands,
        DedupMethod::Exact => Keyed::ByText,
        DedupMethod::Substring if join.is_some() => {
            return Err(CorpusError::request(
                "method = substring is carried out by this process alone: leave engine out",
            ));
        }
        DedupMethod::Substring => return substrings::dedup_substrings(job, settings, observer, stop),
    };
    let rows = Rows::new(settings, keyed)?;
    if let Some(outcome) = job.done(&Drops::new("dedup", &rows, Copies::default()), observer)? {
        return Ok(outcome);
    }
    drop_copies(job, "dedup", (&rows, join), |manifest| manifest, observer, stop)
}

/// Of documents with the same text keeps the first, as the end of another stage, whose manifest `finish` makes.
pub(crate) fn drop_exact_copies(
    job: &Job<'_>,
    finish: impl FnOnce(Manifest) -> Manifest,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, CorpusError> {
    let settings = DedupSettings { method: DedupMethod::Exact, keep: Keep::First, ..DedupSettings::default() };
    drop_copies(job, "exact copies", (&Rows::new(&settings, Keyed::ByText)?, None), finish, observer, stop)
}

fn drop_copies(
    job: &Job<'_>,
    name: &'static str,
    (rows, join): (&Rows<'_>, Option<&dyn JoinCopies>),
    finish: impl FnOnce(Manifest) -> Manifest,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, CorpusError> {
    let settings = rows.settings;
    let work = job.out.join(".dedup");
    let intermediate = JobSettings { compression: Compression::None, keep_dropped: false, ..job.settings.clone() };
    let first = Job { out: &work, settings: &intermediate, shard: ShardOf::ALL, ..*job };
    let Outcome::Done(found) = first.run(rows, observer, stop)? else { return Ok(Outcome::Stopped) };
    let copies = copies(&work, (rows, join), job.threads, observer, stop)?;
    let Some(copies) = copies else { return Ok(Outcome::Stopped) };
    if settings.keep == Keep::Newest
        && let Some(&without) = found.counts.get("dedup_documents_without_date")
        && without > 0
    {
        let text = format!(
            "{without} of {} documents have no date in '{}': of copies without one the first is kept (keep = newest)",
            found.read, settings.date_field
        );
        observer.event(&Event::Note(&text));
    }
    let outcome = job.run_and(&Drops::new(name, rows, copies), finish, observer, stop)?;
    if matches!(outcome, Outcome::Done(_)) {
        remove_folder(&work)?;
    }
    Ok(outcome)
}

/// Finds the clusters of documents whose rows share keys; nothing when it was asked to stop.
fn copies(
    work: &Path,
    (rows, join): (&Rows<'_>, Option<&dyn JoinCopies>),
    threads: usize,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Option<Copies>, CorpusError> {
    let manifest = read_manifest(work)?;
    let files = RowFiles::open(work, &manifest, rows.row_bytes())?;
    let n = files.n_documents;
    let (stage, is_whole) = ("dedup: clusters", rows.keyed == Keyed::ByText);
    let n_keys = if is_whole { 1 } else { rows.n_keys() };
    let detail = format!("{n} documents, {n_keys} keys each");
    observer.event(&Event::StageStarted { stage, detail: &detail, total: Some(n_keys as u64), done: 0 });
    let begun = std::time::Instant::now();
    let sets = match join {
        Some(join) => {
            join_elsewhere(join, &Signatures { files: &files, n_keys: rows.n_keys(), is_whole, work }, observer, stop)?
        }
        None => join_here(rows, &files, threads, observer, stop),
    };
    let Some(mut sets) = sets else { return Ok(None) };
    let ranks = files.rows().map(|(document, rank, _)| (document, rank));
    let copies = Copies::new(files.units.clone(), n, &mut sets, ranks);
    let result = format!("{} clusters of copies", copies.n_clusters());
    let seconds = begun.elapsed().as_secs_f64();
    observer.event(&Event::StageFinished { stage, result: &result, seconds });
    Ok(Some(copies))
}

/// Joins them key by key.
fn join_here(
    rows: &Rows<'_>,
    files: &RowFiles,
    threads: usize,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Option<Sets> {
    let (mut sets, memory_bytes) = (Sets::new(files.n_documents), rows.settings.memory_bytes);
    match rows.keyed {
        Keyed::ByBands => {
            for from in 0..rows.n_keys() {
                if stop.is_raised() {
                    return None;
                }
                join_by_keys(&mut sets, memory_bytes, threads, || files.keys(|keys| number(keys, from)));
                observer.event(&Event::Progress { done: from as u64 + 1, note: "" });
            }
        }
        Keyed::ByText => {
            let whole = |keys: &[u8]| u128::from(number(keys, 0)) | u128::from(number(keys, 1)) << 64;
            join_by_keys(&mut sets, memory_bytes, threads, || files.keys(whole));
        }
    }
    Some(sets)
}

/// Joins the pairs that another has found.
fn join_elsewhere(
    join: &dyn JoinCopies,
    signatures: &Signatures<'_>,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Option<Sets>, CorpusError> {
    let n = signatures.n_documents();
    let mut sets = Sets::new(n);
    let Some(pairs) = join.join(signatures, observer, stop)? else { return Ok(None) };
    for (one, other) in pairs {
        if one >= n || other >= n {
            return Err(CorpusError::Engine(format!("documents {one} and {other} of {n} are said to share keys")));
        }
        sets.join(one, other);
    }
    Ok(Some(sets))
}

/// What to do where a file of the first pass is not what was written.
const ADVICE: &str = "remove the folder to make it again";

/// Finds which documents share keys, in place of this process: an engine, or a cluster.
pub trait JoinCopies {
    /// Pairs of documents, until all that share a key are connected; nothing when it was asked to stop.
    ///
    /// # Errors
    /// When the engine fails.
    fn join(
        &self,
        signatures: &Signatures<'_>,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<Option<Vec<(u32, u32)>>, CorpusError>;
}

/// The keys of all documents.
pub struct Signatures<'a> {
    files: &'a RowFiles,
    /// Keys of a document.
    pub n_keys: usize,
    /// Whether documents share all keys or none: together they are one.
    pub is_whole: bool,
    /// A folder that goes when the stage is done.
    pub work: &'a Path,
}

impl Signatures<'_> {
    /// Number of documents, those without keys too.
    pub fn n_documents(&self) -> u32 {
        self.files.n_documents
    }

    /// Documents with their keys, 8 bytes each, little-endian.
    pub fn rows(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.files.rows().map(|(document, _, keys)| (document, keys))
    }
}

/// The rows of every unit.
struct RowFiles {
    files: Vec<MappedFile>,
    /// Names of the units, and the number of the first document of each.
    units: Vec<(String, u32)>,
    n_documents: u32,
    row_bytes: usize,
}

impl RowFiles {
    fn open(work: &Path, manifest: &Manifest, row_bytes: usize) -> Result<Self, CorpusError> {
        let (mut files, mut units, mut next) = (Vec::new(), Vec::new(), 0u64);
        for (input, output) in manifest.inputs.iter().zip(&manifest.outputs) {
            files.push(MappedFile::open_known(&work.join(&output.file), &output.hash, ADVICE)?);
            units.push((input.file.clone(), next as u32));
            next += input.read;
        }
        let n_documents = u32::try_from(next).map_err(|_| {
            CorpusError::request(format!(
                "{next} documents at once; 'dedup' takes up to {}: split the inputs",
                u32::MAX
            ))
        })?;
        Ok(Self { files, units, n_documents, row_bytes })
    }

    /// Number, rank and keys of every document, in order.
    fn rows(&self) -> impl Iterator<Item = (u32, u64, &[u8])> {
        self.files.iter().zip(&self.units).flat_map(|(file, (_, first))| {
            file.bytes().chunks_exact(self.row_bytes).map(move |row| {
                let (head, keys) = row.split_at(16);
                (first + number(head, 0) as u32, number(head, 1), keys)
            })
        })
    }

    /// One key of every document.
    fn keys<K>(&self, key: impl Fn(&[u8]) -> K) -> impl Iterator<Item = (K, u32)> {
        self.rows().map(move |(document, _, keys)| (key(keys), document))
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes.get(8 * at..8 * at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}
