//! Stages over documents: one on its own, or a pipeline of them as a recipe.

mod look;
mod pipeline;
mod stage;
mod tokens;

pub use look::look;
pub use pipeline::{Pipeline, PipelineOutcome, StageResult, pipeline};
pub use stage::{StageName, StageRequest, classifier_evaluation, classifier_training, data_stage};
pub use tokens::{ExportFormat, Exported, export_shard, export_texts, read_texts};
pub use tutelage_cluster::{ExecutorPlace, Relational, relational_stats, serve_executor, serve_scheduler};
pub use tutelage_corpus::{
    Bin, Card, Change, CorpusError, Diff, Evaluation, Fate, JobSettings, Manifest, Outcome, Sample, Scores, ShardOf,
    Stats, diff, merge, sample, stats,
};
pub use tutelage_mix::{MixReport, PhaseReport};
