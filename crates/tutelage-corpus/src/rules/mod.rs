//! The stage `rules`: published heuristic filters, every threshold a setting, by language and by domain.

mod c4;
mod facts;
mod fineweb;
mod gopher;
mod ngrams;
mod preset;
mod refinedweb;
mod refinedweb_lines;
mod refinedweb_repetition;
mod repetition;
mod settings;
mod signs;
#[cfg(test)]
mod tests;

pub use c4::{C4, Mc4Paragraphs};
pub use fineweb::FineWeb;
pub use gopher::GopherQuality;
pub use preset::{Preset, RuleName, RuleSet};
pub use refinedweb::RefinedWebQuality;
pub use refinedweb_lines::RefinedWebLines;
pub use refinedweb_repetition::RefinedWebRepetition;
pub use repetition::GopherRepetition;
pub use settings::RulesSettings;
pub use signs::{Signs, SlimPajama};

use std::collections::HashMap;
use std::sync::Arc;

use crate::job::{At, DocumentStage, Tally};
use crate::words::{WordRules, Words, is_han};
use crate::{CorpusError, Manifest, Reason, Record};
use c4::Citations;
use facts::Facts;
use refinedweb_lines::LinePatterns;
use refinedweb_repetition::WordRepetition;
use repetition::Repetition;

/// The stage, ready to be carried out.
#[derive(Debug)]
pub struct Rules {
    settings: RulesSettings,
    words: Words,
    citations: Citations,
    lines: LinePatterns,
}

/// What rules know beside the document.
#[derive(Debug, Clone, Copy)]
struct Context<'a> {
    words: &'a Words,
    rules: WordRules,
    citations: &'a Citations,
    lines: &'a LinePatterns,
}

/// Memory of one thread.
#[derive(Debug, Default)]
pub struct RulesWorker {
    facts: Facts,
    repetition: Repetition,
    word_repetition: WordRepetition,
    /// By language and domain.
    sets: HashMap<(String, String), Arc<RuleSet>>,
}

impl Rules {
    /// Checks the settings.
    ///
    /// # Errors
    /// When a rule or a threshold is not known, or cannot be.
    pub fn new(settings: RulesSettings) -> Result<Self, CorpusError> {
        settings.check()?;
        Ok(Self { settings, words: Words::new(), citations: Citations::new(), lines: LinePatterns::new() })
    }

    /// The document's language: its own, where an earlier stage or the crawl found one; else what it looks like.
    fn language(&self, record: &Record) -> String {
        if self.settings.language != "auto" {
            return self.settings.language.clone();
        }
        record.string("language").unwrap_or_else(|| looks_like(&record.text).to_owned())
    }
}

/// Chinese where a good part of the letters are, English otherwise.
fn looks_like(text: &str) -> &'static str {
    let (mut han, mut letters) = (0usize, 0usize);
    // The beginning tells.
    for c in text.chars().take(4000) {
        han += usize::from(is_han(c));
        letters += usize::from(c.is_alphabetic());
    }
    // A word of Latin letters has about five of them, a Chinese one two.
    if 3 * han > letters { "zh" } else { "en" }
}

impl DocumentStage for Rules {
    type Worker = RulesWorker;

    fn name(&self) -> &'static str {
        "rules"
    }

    fn settings(&self) -> serde_json::Value {
        self.settings.resolved()
    }

    fn worker(&self) -> RulesWorker {
        RulesWorker::default()
    }

    fn apply(&self, worker: &mut RulesWorker, record: &mut Record, _: At, tally: &mut Tally) -> Result<(), Reason> {
        let language = self.language(record);
        let domain = match self.settings.by_domain.is_empty() {
            true => String::new(),
            false => record.string(&self.settings.domain_field).unwrap_or_default(),
        };
        let key = (language, domain);
        let set = match worker.sets.get(&key) {
            Some(set) => Arc::clone(set),
            None => {
                // What cannot be merged was refused when the settings were checked.
                let set = Arc::new(self.settings.rules_of(&key.0, &key.1).unwrap_or_default());
                worker.sets.insert(key.clone(), Arc::clone(&set));
                set
            }
        };
        let rules = WordRules::of_language(&key.0);
        let context = Context { words: &self.words, rules, citations: &self.citations, lines: &self.lines };
        worker.facts.set(std::mem::take(&mut record.text));
        let verdict = worker.verdict(&set, &context, tally);
        record.text = worker.facts.take();
        verdict
    }

    fn filters(&self, manifest: &Manifest) -> Vec<(String, u64)> {
        let rules = self.settings.rules_of("", "").unwrap_or_default().order.into_iter();
        let of = |rule: RuleName| {
            let cut = |prefix: &str| -> u64 {
                manifest.counts.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, n)| n).sum()
            };
            let fired = manifest.counted(rule.fired()) + rule.cuts().map_or(0, cut);
            (rule.name().to_owned(), fired)
        };
        rules.map(of).collect()
    }
}

impl RulesWorker {
    fn verdict(&mut self, set: &RuleSet, context: &Context<'_>, tally: &mut Tally) -> Result<(), Reason> {
        let Self { facts, repetition, word_repetition, .. } = self;
        if crate::words::strip(facts.text()).is_empty() {
            return Err(Reason::Empty);
        }
        for rule in &set.order {
            let verdict = match rule {
                RuleName::GopherQuality => set.gopher_quality.check(facts, context),
                RuleName::GopherRepetition => set.gopher_repetition.check(facts, context, repetition),
                RuleName::C4 => set.c4.check(facts, context, tally),
                RuleName::Mc4Paragraphs => set.mc4_paragraphs.check(facts),
                RuleName::FineWeb => set.fineweb.check(facts, context),
                RuleName::RefinedWebQuality => set.refinedweb_quality.check(facts),
                RuleName::RefinedWebRepetition => set.refinedweb_repetition.check(facts, word_repetition),
                RuleName::RefinedWebLines => set.refinedweb_lines.check(facts, context.lines, tally),
                RuleName::SlimPajama => set.slimpajama.check(facts),
                RuleName::Signs => set.signs.check(facts),
            };
            tally.add(rule.fired(), u64::from(verdict.is_err()));
            verdict?;
        }
        Ok(())
    }
}
