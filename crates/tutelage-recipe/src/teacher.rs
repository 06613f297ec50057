//! A teacher's cache by hand: what it costs, and whether it is whole.

use std::path::Path;

use serde::Serialize;
use tutelage_run::{Event, Observer};
use tutelage_teacher::cache::{CacheHeader, CacheReader, CodingStats};

use crate::RecipeError;

/// What a cache is and costs.
#[derive(Debug, Clone, Serialize)]
pub struct CacheReport {
    /// What it was made from.
    pub header: CacheHeader,
    /// Tokens it covers.
    pub tokens: u64,
    /// Entries of all tokens.
    pub entries: u64,
    /// Bytes of its parts.
    pub bytes: u64,
    /// Where the bits go.
    pub coding: CodingStats,
}

/// Opens the cache in `folder`, and decodes some of it.
///
/// # Errors
/// When it is not whole.
pub fn cache_stats(folder: &Path, observer: &mut dyn Observer) -> Result<CacheReport, RecipeError> {
    let reader = CacheReader::open(folder, None)?;
    let (header, stats) = (reader.header().clone(), reader.stats());
    let detail = format!("{} of {} tokens", header.kept, stats.n_tokens);
    observer.event(&Event::StageStarted { stage: "stats", detail: &detail, total: None, done: 0 });
    let coding = reader.coding_stats(&mut |done| observer.event(&Event::Progress { done, note: "" }))?;
    observer.event(&Event::StageFinished { stage: "stats", result: "", seconds: 0.0 });
    Ok(CacheReport { header, tokens: stats.n_tokens, entries: stats.n_entries, bytes: stats.n_bytes, coding })
}

/// Decodes every block of the cache in `folder`, and compares its numbers; returns the tokens.
///
/// # Errors
/// Names the first file that is damaged, and how.
pub fn verify_cache(folder: &Path, observer: &mut dyn Observer) -> Result<u64, RecipeError> {
    let reader = CacheReader::open(folder, None)?;
    let total = reader.stats().n_tokens;
    let detail = reader.header().kept.to_string();
    observer.event(&Event::StageStarted { stage: "verify", detail: &detail, total: Some(total), done: 0 });
    reader.verify(&mut |done| observer.event(&Event::Progress { done, note: "" }))?;
    Ok(total)
}
