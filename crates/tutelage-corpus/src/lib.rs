//! From crawled pages to clean, deduplicated documents.
//!
//! # Tour
//! - [`Record`]: one document; what a stage does not know it leaves as it was written.
//! - `input`: JSONL, texts, WARC and WET, plain or compressed, as chunks of raw items; damage is an item too.
//! - [`Job`] carries out a [`DocumentStage`], which looks at each document alone, with many threads, in one order, and
//!   goes on inside a file after it was stopped or killed. It leaves a [`Manifest`].
//! - With the feature `parquet`: documents out of Parquet, and into it.
//! - [`StageFolder`]: the folder of a stage that looks at all documents at once.
//! - [`merge()`]: parts of a job become one. [`stats()`], [`sample()`], [`diff()`]: looking.
//! - [`Reason`]: every reason a document is dropped for.
//! - [`Read`], [`format()`], [`Rules`], [`dedup()`], [`Safety`], [`Quality`], [`Classify`], [`Decontaminate`]: the stages.
//! - [`train_classifier()`], [`evaluate_classifier()`]: what [`Quality`] and [`Classify`] score with.

mod classifier;
mod decontaminate;
mod dedup;
mod error;
#[cfg(feature = "parquet")]
mod export;
mod format;
mod input;
mod job;
mod look;
mod manifest;
mod merge;
mod quality;
mod read;
mod reason;
mod record;
mod rules;
mod safety;
mod words;

pub use classifier::{
    AtThreshold, Card, Choice, Classifier, ClassifierApplying, ClassifierEvaluating, ClassifierMemory,
    ClassifierTraining, Classify, Evaluation, LabelScores, Prepare, Scores, evaluate_classifier, train_classifier,
};
pub use decontaminate::{Decontaminate, DecontaminateSettings, DecontaminateWorker, Remove};
pub use dedup::{Bands, DedupMethod, DedupSettings, JoinCopies, Keep, Signatures, dedup, dedup_by};
pub use error::CorpusError;
#[cfg(feature = "parquet")]
pub use export::export_parquet;
pub use format::{Focus, Format, FormatSettings, format};
pub use job::{
    At, Compression, DocumentStage, Job, JobSettings, OpenStage, Outcome, ShardOf, StageFolder, Tally, is_stage,
    read_manifest,
};
pub use look::{
    Bin, Change, Diff, Documents, Fate, Found, Histogram, InputFiles, Sample, Stats, count_words, diff, documents,
    plain_files, sample, stats,
};
pub use manifest::{Damage, InputRecord, Manifest, OutputRecord};
pub use merge::merge;
pub use quality::{ClassifierSettings, Quality, QualitySettings};
pub use read::Read;
pub use reason::Reason;
pub use record::{Fault, Record};
pub use rules::{
    C4, FineWeb, GopherQuality, GopherRepetition, Mc4Paragraphs, Preset, RefinedWebLines, RefinedWebQuality,
    RefinedWebRepetition, RuleName, RuleSet, Rules, RulesSettings, RulesWorker, Signs, SlimPajama,
};
pub use safety::{Personal, Safety, SafetySettings, host};
