//! Who shares keys, as a relational plan: the same on DataFusion in this process and on a cluster.

use ballista::prelude::{SessionConfigExt, SessionContextExt};
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::UInt32Type;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use tokio::runtime::Runtime;
use tutelage_corpus::{CorpusError, JoinCopies, Signatures};
use tutelage_run::{Event, Observer, StopFlag};

use crate::function::functions;
use crate::table;

/// The plan.
#[derive(Debug, Clone)]
pub struct Relational {
    /// `df://host:port` of a cluster's scheduler; this process if there is none.
    scheduler: Option<String>,
    threads: usize,
}

pub(crate) fn failed(error: impl std::fmt::Display) -> CorpusError {
    CorpusError::Engine(error.to_string())
}

impl Relational {
    /// On this process's threads, or on the cluster of a scheduler (`host:port`).
    ///
    /// # Errors
    /// When the scheduler's address is none.
    pub fn new(scheduler: Option<&str>, threads: usize) -> Result<Self, CorpusError> {
        if let Some(address) = scheduler
            && !address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        {
            let found = format!("scheduler = '{address}': expected a host and a port, as in 10.0.0.5:50050");
            return Err(CorpusError::request(found));
        }
        Ok(Self { scheduler: scheduler.map(|address| format!("df://{address}")), threads })
    }

    /// What an error of the engine says to people.
    pub(crate) fn failed(&self, error: impl std::fmt::Display) -> CorpusError {
        match &self.scheduler {
            None => failed(error),
            Some(scheduler) => failed(format!(
                "{scheduler}: {error}; 'tutelage data cluster scheduler' and 'executor' are to run, and to see the same files"
            )),
        }
    }

    pub(crate) async fn context(&self) -> Result<SessionContext, DataFusionError> {
        let config = match self.scheduler {
            None => SessionConfig::new(),
            Some(_) => SessionConfig::new_with_ballista(),
        };
        let config = config.with_target_partitions(self.threads.max(2));
        let state = SessionStateBuilder::new().with_config(config).with_default_features().build();
        let context = match &self.scheduler {
            None => SessionContext::new_with_state(state),
            Some(scheduler) => SessionContext::remote_with_state(scheduler, state).await?,
        };
        functions().for_each(|function| context.register_udf(function));
        Ok(context)
    }

    async fn pairs(&self, signatures: &Signatures<'_>, folder: &str) -> Result<Vec<RecordBatch>, DataFusionError> {
        let context = self.context().await?;
        context.register_parquet("signatures", folder, ParquetReadOptions::default()).await?;
        context.sql(&query(signatures.n_keys, signatures.is_whole)).await?.collect().await
    }
}

/// Every document that shares a key with an earlier one, with the first that has it.
fn query(n_keys: usize, is_whole: bool) -> String {
    let banded = match is_whole {
        // All keys at once.
        true => "SELECT band_key(keys, 0) AS band, band_key(keys, 1) AS key, document FROM signatures".to_owned(),
        false => {
            let bands: Vec<String> = (0..n_keys).map(|band| format!("({band})")).collect();
            format!(
                "SELECT band, band_key(keys, band) AS key, document FROM signatures CROSS JOIN (VALUES {}) AS bands(band)",
                bands.join(", ")
            )
        }
    };
    format!(
        "WITH banded AS ({banded}), \
         firsts AS (SELECT band, key, min(document) AS first FROM banded GROUP BY band, key HAVING count(*) > 1) \
         SELECT DISTINCT banded.document AS document, firsts.first AS first FROM banded \
         JOIN firsts ON banded.band = firsts.band AND banded.key = firsts.key WHERE banded.document <> firsts.first"
    )
}

impl JoinCopies for Relational {
    fn join(
        &self,
        signatures: &Signatures<'_>,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<Option<Vec<(u32, u32)>>, CorpusError> {
        let begun = std::time::Instant::now();
        let folder = table::write(signatures)?;
        if stop.is_raised() {
            return Ok(None);
        }
        // Others read it by this path.
        let folder = folder.canonicalize().map_err(tutelage_run::FileError::io("read", &folder))?;
        let runtime = Runtime::new().map_err(failed)?;
        let batches = runtime.block_on(self.pairs(signatures, &folder.display().to_string()));
        let batches = batches.map_err(|error| self.failed(error))?;
        let mut pairs = Vec::new();
        for batch in &batches {
            let (documents, firsts) =
                (batch.column(0).as_primitive::<UInt32Type>(), batch.column(1).as_primitive::<UInt32Type>());
            pairs.extend(documents.values().iter().copied().zip(firsts.values().iter().copied()));
        }
        let (n, place) = (pairs.len(), self.scheduler.as_deref().unwrap_or("DataFusion in this process"));
        let found = format!("dedup: {n} pairs by {place} ({:.1} s)", begun.elapsed().as_secs_f64());
        observer.event(&Event::Note(&found));
        Ok(if stop.is_raised() { None } else { Some(pairs) })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use tutelage_corpus::{DedupSettings, Job, JobSettings, Manifest, Outcome, ShardOf, dedup, dedup_by};
    use tutelage_run::Silent;
    use tutelage_testkit::Scratch;

    use super::*;

    fn texts() -> String {
        let mut state = 3u64;
        let mut draw = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        let mut texts: Vec<String> = Vec::new();
        for i in 0..600 {
            let text = match i % 3 {
                // A copy, exact or with a word changed.
                2 => {
                    let mut words: Vec<String> = texts[draw(i) as usize].split(' ').map(str::to_owned).collect();
                    if i % 2 == 0 {
                        let at = draw(words.len() as u64) as usize;
                        words[at] = format!("new{i}");
                    }
                    words.join(" ")
                }
                _ => (0..60).map(|_| format!("w{}", draw(4000))).collect::<Vec<_>>().join(" "),
            };
            texts.push(text);
        }
        texts.iter().enumerate().map(|(i, text)| format!("{{\"id\":\"{i}\",\"text\":\"{text}\"}}\n")).collect()
    }

    #[test]
    fn the_plan_keeps_what_the_embedded_path_keeps() {
        let scratch = Scratch::new("cluster-plan");
        let inputs = [scratch.join("a.jsonl")];
        std::fs::write(&inputs[0], texts()).unwrap();
        let job_settings = JobSettings::default();
        let run = |out: &PathBuf, settings: &DedupSettings, join: Option<&dyn JoinCopies>| -> Manifest {
            let job = Job {
                inputs: &inputs,
                out,
                shard: ShardOf::ALL,
                settings: &job_settings,
                threads: 2,
                commit_every: Duration::ZERO,
            };
            let stop = StopFlag::default();
            let outcome = match join {
                None => dedup(&job, settings, &mut Silent, &stop),
                Some(join) => dedup_by(&job, settings, Some(join), &mut Silent, &stop),
            };
            match outcome.unwrap() {
                Outcome::Done(manifest) => *manifest,
                Outcome::Stopped => panic!("nobody asked to stop"),
            }
        };
        let engine = Relational::new(None, 2).unwrap();
        for method in ["minhash", "exact"] {
            let settings = DedupSettings { method: serde(method), ..DedupSettings::default() };
            let embedded = run(&scratch.join(format!("{method}-a")), &settings, None);
            let planned = run(&scratch.join(format!("{method}-b")), &settings, Some(&engine));
            assert_eq!(embedded, planned);
            assert!(embedded.kept < 550, "{}", embedded.kept);
        }
    }

    fn serde(method: &str) -> tutelage_corpus::DedupMethod {
        match method {
            "exact" => tutelage_corpus::DedupMethod::Exact,
            _ => tutelage_corpus::DedupMethod::Minhash,
        }
    }

    #[test]
    fn addresses_are_checked() {
        for wrong in ["here", "here:", ":50050", "here:99999"] {
            assert!(Relational::new(Some(wrong), 1).unwrap_err().is_request(), "{wrong}");
        }
    }
}
