//! Documents in the order that was drawn become a shard; after a stop it goes on inside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tutelage_data::{PackedSet, SHARD_ENDINGS, Shard, ShardWriter, Tail, export};
use tutelage_run::{Event, Observer, StopFlag, read_json, write_json};

use crate::MixError;
use crate::report::{PhaseReport, PhaseSource};
use crate::shares::Class;
use crate::source::{Documents, TokenSource};

/// Where a shard goes, and how often what is done is made durable.
pub(crate) struct Place<'a> {
    pub(crate) out: &'a Path,
    pub(crate) work: &'a Path,
    pub(crate) commit_every: Duration,
    /// How the tokenizer is called for people.
    pub(crate) tokenizer: &'a str,
}

/// What is durable of a shard.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    documents: u64,
    tokens: u64,
}

/// Bytes after which what is appended is made durable, however short ago that was done.
const COMMIT_TOKENS: u64 = 64 << 20;

/// One document of a shard.
pub(crate) struct Drawn<'s> {
    pub(crate) source: &'s TokenSource,
    pub(crate) documents: &'s Documents,
    pub(crate) document: usize,
    pub(crate) class: Class,
}

impl Place<'_> {
    /// Writes `OUT/NAME.bin` with its companions, unless it is there; nothing when it was asked to stop.
    pub(crate) fn write<'s>(
        &self,
        (name, seq_len): (&str, usize),
        n_documents: u64,
        drawn: impl Iterator<Item = Drawn<'s>>,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<Option<PhaseReport>, MixError> {
        let stem = self.out.join(name);
        let record = self.work.join(format!("{name}.json"));
        let report = self.work.join(format!("{name}.report.json"));
        if report.exists() {
            observer.event(&Event::StageKept { stage: name });
            return Ok(Some(read_json(&report)?));
        }
        let begun = Instant::now();
        // The shard may be whole already, with its numbers not told: then it is made again.
        let goes_on = record.exists() && ShardWriter::is_begun(&stem);
        let done: Progress = if goes_on { read_json(&record)? } else { Progress::default() };
        let detail = format!("{n_documents} documents");
        observer.event(&Event::StageStarted {
            stage: name,
            detail: &detail,
            total: Some(n_documents),
            done: done.documents,
        });
        let mut writer: Option<ShardWriter> = None;
        let (mut n, mut tokens, mut durable) = (0u64, 0u64, done.tokens);
        let mut committed = Instant::now();
        let (mut ids, mut sources) = (Vec::new(), BTreeMap::<String, PhaseSource>::new());
        for Drawn { source, documents, document, class } in drawn {
            let writer = match &mut writer {
                Some(writer) => writer,
                None => {
                    writer.insert(ShardWriter::go_on(&stem, source.tokenizer.clone(), source.vocab_size, done.tokens)?)
                }
            };
            let (n_ids, text_bytes) = (documents.lengths[document] as usize, source.text_bytes(documents, document));
            if n < done.documents {
                writer.pass_routed(n_ids, text_bytes, &source.name)?;
            } else {
                source.ids(documents, document, &mut ids);
                writer.push_routed(&ids, text_bytes, &source.name)?;
            }
            n += 1;
            tokens += n_ids as u64;
            let counts = sources.entry(source.name.clone()).or_default();
            counts.documents += 1;
            counts.tokens += n_ids as u64;
            if matches!(class, Class::Below(_)) {
                counts.short_tokens += n_ids as u64;
            }
            if n % 1024 == 0 {
                observer.event(&Event::Progress { done: n, note: &format!("{tokens} tokens") });
                let stops = stop.is_raised();
                if n > done.documents
                    && (stops || tokens - durable >= COMMIT_TOKENS || committed.elapsed() >= self.commit_every)
                {
                    writer.sync()?;
                    write_json(&record, &Progress { documents: n, tokens })?;
                    (durable, committed) = (tokens, Instant::now());
                }
                if stops {
                    return Ok(None);
                }
            }
        }
        let Some(writer) = writer else {
            return Err(MixError::request(format!("'{name}' would be a shard without documents")));
        };
        let manifest = writer.finish()?;
        let shard = std::sync::Arc::new(Shard::open(&stem)?);
        export::nanotron(&stem, &shard, &stem, self.tokenizer)?;
        let stream = PackedSet::new(shard.clone(), seq_len, Some(0), Tail::Keep).ok().map(|set| set.numbers());
        let best_fit = PackedSet::best_fit(shard, seq_len, Some(0)).ok().map(|set| set.numbers());
        sources.values_mut().for_each(|source| source.share = source.tokens as f64 / tokens as f64);
        let found = PhaseReport {
            name: name.to_owned(),
            seq_len,
            documents: manifest.documents,
            tokens,
            text_bytes: manifest.text_bytes,
            sources,
            stream,
            best_fit,
        };
        write_json(&report, &found)?;
        let result = format!("{tokens} tokens of {n} documents");
        observer.event(&Event::StageFinished { stage: name, result: &result, seconds: begun.elapsed().as_secs_f64() });
        Ok(Some(found))
    }

    /// The files of a shard.
    pub(crate) fn files(&self, name: &str) -> Vec<PathBuf> {
        let stem = self.out.join(name);
        let endings = SHARD_ENDINGS.into_iter().chain(export::NANOTRON_ENDINGS);
        endings.map(|ending| stem.with_extension(ending)).collect()
    }
}
