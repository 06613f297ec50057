//! Numbers of documents.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use tutelage_run::{Event, Observer};

use super::{Bin, Histogram, documents};
use crate::CorpusError;
use crate::job::JobSettings;
use crate::words::is_han;

/// What documents are like.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Documents with a text.
    pub documents: u64,
    /// Pages whose text was not taken out yet.
    pub pages: u64,
    /// What could not be read, by reason.
    pub damaged: BTreeMap<String, u64>,
    /// Bytes of all texts.
    pub bytes: u64,
    /// Characters of all texts.
    pub chars: u64,
    /// Words of all texts: runs between white space, and each Han character.
    pub words: u64,
    /// Characters of the longest text.
    pub longest: u64,
    /// Documents by their number of characters.
    pub lengths: Vec<Bin>,
    /// Documents by language, where they say it.
    pub languages: BTreeMap<String, u64>,
    /// Documents by reason, where these are dropped ones.
    pub reasons: BTreeMap<String, u64>,
    /// The hosts with the most documents.
    pub hosts: Vec<(String, u64)>,
    /// Kept documents by the size of their cluster of copies, where they say it (`note_copies`).
    pub copies: Vec<Bin>,
}

/// Hosts that are listed.
const HOSTS: usize = 20;

/// Reads all documents once.
///
/// # Errors
/// When there is nothing to read, or the system refuses.
pub fn stats(inputs: &[PathBuf], settings: &JobSettings, observer: &mut dyn Observer) -> Result<Stats, CorpusError> {
    let begun = std::time::Instant::now();
    observer.event(&Event::StageStarted { stage: "stats", detail: "reading", total: None, done: 0 });
    let (mut stats, mut lengths, mut copies) = (Stats::default(), Histogram::default(), Histogram::default());
    let mut hosts: BTreeMap<String, u64> = BTreeMap::new();
    for (seen, found) in documents(inputs, settings)?.enumerate() {
        if seen % 10_000 == 9_999 {
            observer.event(&Event::Progress { done: seen as u64, note: &format!("{seen} documents") });
        }
        let record = match found?.record {
            Ok(record) => record,
            Err(fault) => {
                *stats.damaged.entry(fault.reason.to_string()).or_default() += 1;
                continue;
            }
        };
        if let Some(reason) = record.string("dropped") {
            *stats.reasons.entry(reason).or_default() += 1;
        }
        if let Some(language) = record.string("language") {
            *stats.languages.entry(language).or_default() += 1;
        }
        if let Some(size) = record.number("copies") {
            copies.add(size as u64);
        }
        if let Some(host) = record.string("url").as_deref().and_then(crate::safety::host) {
            *hosts.entry(host.to_ascii_lowercase()).or_default() += 1;
        }
        if !record.has_text() {
            stats.pages += 1;
            continue;
        }
        let chars = record.text.chars().count() as u64;
        stats.documents += 1;
        stats.bytes += record.text.len() as u64;
        stats.words += count_words(&record.text);
        lengths.add(chars);
    }
    (stats.chars, stats.longest, stats.lengths) = (lengths.sum(), lengths.most(), lengths.bins());
    stats.copies = copies.bins();
    stats.hosts = hosts.into_iter().collect();
    stats.hosts.sort_by_key(|(host, count)| (std::cmp::Reverse(*count), host.clone()));
    stats.hosts.truncate(HOSTS);
    let result = format!("{} documents", stats.documents);
    let seconds = begun.elapsed().as_secs_f64();
    observer.event(&Event::StageFinished { stage: "stats", result: &result, seconds });
    Ok(stats)
}

/// Words of a text: runs between white space, and each Han character.
pub fn count_words(text: &str) -> u64 {
    let (mut words, mut in_word) = (0, false);
    for c in text.chars() {
        let han = is_han(c);
        let space = c.is_whitespace();
        words += u64::from(han || !space && !in_word);
        in_word = !han && !space;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::count_words;

    #[test]
    fn words_are_counted_in_both_scripts() {
        assert_eq!(count_words("two words"), 2);
        assert_eq!(count_words(" 中文 and 字 "), 4);
        assert_eq!(count_words(""), 0);
    }
}
