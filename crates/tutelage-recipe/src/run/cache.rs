//! A teacher's distributions, written down over its students' stream.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tutelage_data::{PackedSet, SequenceOrder};
use tutelage_run::{Event, Hash, Hasher};
use tutelage_teacher::CacheError;
use tutelage_teacher::across::{Across, AcrossSource, Alignment, Vocabulary};
use tutelage_teacher::cache::{self, CacheHeader, CacheStats, Kept, ModelSource, Outcome, Source};
use tutelage_teacher::capture::{Capture, CaptureSource, Context, Coverage};
use tutelage_teacher::remote::{RemoteSource, ServerConfig, TokenizerProbe};
use tutelage_token::{Spelling, Tokenizer};

use super::session::{Flow, Made, Session};
use super::shards::Packed;
use super::tokenizer::RunTokenizer;
use crate::RecipeError;
use crate::plan::{CachePlan, Plan, ServerPlan, Stage, TeacherModel, Teaches};

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
                Teaches::Model(model) if model.own.is_some() => {
                    session.write_across(folder, &header, (plan, model), tokenizer, set, &sequences)?
                }
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
                Teaches::Capture(capture, context) => {
                    session.write_captured(folder, &header, (capture, *context), set, &sequences)?
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

    /// From a teacher with another vocabulary; says how much of the text aligned.
    fn write_across(
        &mut self,
        folder: &Path,
        header: &CacheHeader,
        (plan, teacher): (&CachePlan, &TeacherModel),
        tokenizer: &RunTokenizer,
        set: &PackedSet,
        sequences: &[usize],
    ) -> Result<Flow<CacheStats>, RecipeError> {
        let (Kept::TopPK { top_p, top_k }, Some(own)) = (&plan.kept, &teacher.own) else {
            return Err(RecipeError::request(format!("cache '{}': draws of another vocabulary", plan.name)));
        };
        let (student, theirs) = (&tokenizer.tokenizer, Arc::clone(own));
        let encode = move |text: &str| theirs.encode(text).map_err(Into::into);
        let divide = |text: &str| student.encode(text).map_err(Into::into);
        let across = Across::new(vocabulary(student), vocabulary(own), Box::new(encode), &divide);
        let across = across.map_err(|source| CacheError::Text { source })?;
        let model = self.load_teacher(teacher)?;
        let (top_p, top_k, alignment) = (*top_p, *top_k, Alignment::default());
        let mut source = AcrossSource { teacher: &model, across: &across, top_p, top_k, alignment };
        let flow = self.write_cache(folder, header, &mut source, set, sequences)?;
        let Alignment { rows, aligned, within, spans, mass, divided } = source.alignment;
        let (shared, several, all) = across.shared();
        let note = format!(
            "teacher '{}' has another vocabulary: of its {all} entries {shared} are its students' too, and they write {several} as several of \
             their own; {:.1} % of {rows} tokens follow a text that both have read, where {:.1} % of its mass is on the former and {:.1} % \
             on the latter; {:.1} % are within a token of its own, and {spans} times the next token is several of its own",
            teacher.name,
            percent(aligned as f64, rows),
            percent(mass, aligned),
            percent(divided, aligned),
            percent(within as f64, rows)
        );
        self.observer.event(&Event::Note(&note));
        Ok(flow)
    }

    /// From a capture; says how much of the text it speaks of.
    fn write_captured(
        &mut self,
        folder: &Path,
        header: &CacheHeader,
        capture: (&Capture, Context),
        set: &PackedSet,
        sequences: &[usize],
    ) -> Result<Flow<CacheStats>, RecipeError> {
        let n_files = capture.0.n_files();
        let observer = &mut *self.observer;
        let mut progress = |n| observer.event(&Event::Progress { done: 0, note: &format!("file {n} of {n_files}") });
        let source = CaptureSource::open(capture, header, (set, sequences), folder, self.stop, &mut progress)?;
        let Some(mut source) = source else { return Ok(Flow::Stopped) };
        let flow = self.write_cache(folder, header, &mut source, set, sequences)?;
        let Coverage { rows, found, broken, scaled, beyond, .. } = source.coverage;
        if matches!(flow, Flow::Done(_)) {
            source.remove()?;
        }
        let note = format!(
            "the capture speaks of {:.1} % of {rows} tokens: those whose document it has read from the same token on; of its rows {:.1} % had \
             more mass than one and were scaled, {:.1} % held no distribution, and {beyond} entries are beyond the vocabulary",
            percent(found as f64, rows),
            percent(scaled as f64, found),
            percent(broken as f64, found)
        );
        self.observer.event(&Event::Note(&note));
        Ok(flow)
    }

    /// Hash of who is written down.
    pub(super) fn teaches_hash(&mut self, teacher: &Teaches) -> Result<Hash, RecipeError> {
        match teacher {
            Teaches::Model(model) => {
                let weights = self.teacher_hash(model)?;
                let Some(own) = &model.own else { return Ok(weights) };
                // What it says of a text depends on how it reads it.
                let mut hasher = Hasher::default();
                hasher.part(b"across-2").part(weights.to_string().as_bytes()).part(own.to_json()?.as_bytes());
                Ok(hasher.finish())
            }
            // A server that is not there now may have filled the cache: only a name that is given is known without it.
            Teaches::Server(server) => {
                let ServerConfig { url, model, .. } = &server.config;
                Ok(RemoteSource::hash(model.as_ref().unwrap_or(url)))
            }
            Teaches::Capture(capture, context) => Ok(capture.hash(*context)),
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

fn percent(part: f64, all: u64) -> f64 {
    100.0 * part / all.max(1) as f64
}

fn describe(stats: &CacheStats) -> String {
    let tokens = stats.n_tokens.max(1) as f64;
    format!("{:.1} bytes and {:.1} entries a token", stats.n_bytes as f64 / tokens, stats.n_entries as f64 / tokens)
}

/// What a tokenizer's ids stand for.
fn vocabulary(tokenizer: &Tokenizer) -> Vocabulary {
    let text = |spelling| match spelling {
        Spelling::Bytes(bytes) => Some(bytes),
        Spelling::Special(_) => None,
    };
    Vocabulary {
        entries: tokenizer.spellings().into_iter().map(text).collect(),
        bos: tokenizer.adds_bos().then(|| tokenizer.bos()),
        eos: tokenizer.eos(),
    }
}
