//! A teacher's distributions, written down over its students' stream.

use std::collections::BTreeSet;
use std::path::Path;

use tutelage_data::{PackedSet, SequenceOrder};
use tutelage_run::{Event, Hash};
use tutelage_teacher::CacheError;
use tutelage_teacher::cache::{self, CacheHeader, CacheStats, Kept, ModelSource, Outcome, Source};
use tutelage_teacher::remote::{RemoteSource, ServerConfig, TokenizerProbe};

use super::session::{Flow, Made, Session};
use super::shards::Packed;
use super::tokenizer::RunTokenizer;
use crate::RecipeError;
use crate::plan::{CachePlan, Plan, ServerPlan, Stage, Teaches};

/// Sequences that the readers will see, in rising order.
pub(super) fn covered(plan: &CachePlan, set: &PackedSet) -> Vec<usize> {
    let mut out = BTreeSet::new();
    for &(seed, draws) in &plan.readers {
        let mut order = SequenceOrder::new(set.n_sequences(), seed);
        // An epoch sees everything.
        let draws = draws.min(set.n_sequences() as u64);
        out.extend((0..draws).map(|k| order.at(k)));
    }
    out.into_iter().collect()
}

/// The header that a cache of this plan has, over these sequences.
pub(super) fn header(plan: &CachePlan, set: &PackedSet, teacher: &Hash, sequences: &[usize]) -> CacheHeader {
    CacheHeader::new(set, sequences, teacher, plan.vocab_size, plan.kept.clone())
}

/// The plan of a cache, by name.
pub(super) fn find<'p>(plan: &'p Plan, name: &str) -> Result<&'p CachePlan, RecipeError> {
    let mut caches = plan.stages.iter().filter_map(|stage| match stage {
        Stage::Cache(cache) if cache.name == name => Some(&**cache),
        _ => None,
    });
    caches.next().ok_or_else(|| {
        let names = plan.stages.iter().filter_map(|stage| match stage {
            Stage::Cache(cache) => Some(cache.name.as_str()),
            _ => None,
        });
        let names = names.collect::<Vec<_>>().join(", ");
        RecipeError::request(format!("the recipe has no cache '{name}' that a run reads; it has: {names}"))
    })
}

impl Session<'_> {
    pub(super) fn cache(
        &mut self,
        plan: &CachePlan,
        tokenizer: &RunTokenizer,
        packed: &Packed,
    ) -> Result<Flow<()>, RecipeError> {
        let stage = format!("cache/{}", plan.name);
        let folder = self.folder.join("caches").join(&plan.name);
        let teacher = self.teaches_hash(&plan.teacher)?;
        let sequences = covered(plan, &packed.train);
        let header = header(plan, &packed.train, &teacher, &sequences);
        let fingerprint = self.fingerprint(&stage, &[&format!("{header:?} {:?}", self.plan.precision)]);
        let flow = self.stage(&stage, &folder, fingerprint, |session, folder| {
            let total = (sequences.len() * packed.train.seq_len()) as u64;
            session.started(&stage, &format!("{} of {}", plan.kept, plan.teacher.name()), Some(total));
            let set = &packed.train;
            let written = match &plan.teacher {
                Teaches::Model(model) => {
                    let model = session.load_teacher(model)?;
                    let mut source =
                        ModelSource { teacher: &model, kept: plan.kept.clone(), vocabulary: plan.vocab_size };
                    session.write_cache(folder, &header, &mut source, set, &sequences)?
                }
                Teaches::Server(server) => {
                    let mut source = open_server(server, &plan.kept, tokenizer)?;
                    source.remember(folder)?;
                    session.write_cache(folder, &header, &mut source, set, &sequences)?
                }
            };
            let Flow::Done(stats) = written else { return Ok(Flow::Stopped) };
            Ok(Flow::Done(Made { output: teacher.clone(), result: describe(&stats), seconds: None }))
        })?;
        Ok(match flow {
            Flow::Done(_) => Flow::Done(()),
            Flow::Stopped => Flow::Stopped,
        })
    }

    /// Hash of who is written down.
    pub(super) fn teaches_hash(&mut self, teacher: &Teaches) -> Result<Hash, RecipeError> {
        match teacher {
            Teaches::Model(model) => self.teacher_hash(model),
            // A server that is not there now may have filled the cache: only a name that is given is known without it.
            Teaches::Server(server) => {
                let ServerConfig { url, model, .. } = &server.config;
                Ok(RemoteSource::hash(model.as_ref().unwrap_or(url)))
            }
        }
    }

    fn write_cache(
        &mut self,
        folder: &Path,
        header: &CacheHeader,
        source: &mut dyn Source,
        set: &PackedSet,
        sequences: &[usize],
    ) -> Result<Flow<CacheStats>, RecipeError> {
        let observer = &mut *self.observer;
        let mut progress = |done| observer.event(&Event::Progress { done, note: "" });
        Ok(match cache::write(folder, header, source, set, sequences, self.stop, &mut progress)? {
            Outcome::Done(stats) => Flow::Done(stats),
            Outcome::Stopped => Flow::Stopped,
        })
    }
}

/// Of a text with words, numbers, signs, code and other scripts, tokenizers that differ make different ids.
const PROBE: &str = "The quick brown fox paid 1,234.50 \u{20ac} (na\u{ef}ve!)\n\tdef f(x): return x**2  # \u{4f60}\u{597d} \u{43c}\u{438}\u{440}";

/// Asks a server whether it is one.
pub(super) fn open_server(
    server: &ServerPlan,
    kept: &Kept,
    tokenizer: &RunTokenizer,
) -> Result<RemoteSource, RecipeError> {
    let probe = TokenizerProbe { text: PROBE.to_owned(), ids: tokenizer.tokenizer.encode(PROBE)? };
    let source = RemoteSource::open(server.config.clone(), kept, tokenizer.tokenizer.vocab_size(), &probe);
    Ok(source.map_err(CacheError::from)?)
}

fn describe(stats: &CacheStats) -> String {
    let tokens = stats.n_tokens.max(1) as f64;
    format!("{:.1} bytes and {:.1} entries a token", stats.n_bytes as f64 / tokens, stats.n_entries as f64 / tokens)
}
