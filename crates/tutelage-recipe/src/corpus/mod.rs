//! Stages over documents: one on its own, or a pipeline of them as a recipe.

mod pipeline;
mod stage;

pub use pipeline::{Pipeline, PipelineOutcome, StageResult, pipeline};
pub use stage::{StageName, StageRequest, data_stage};
pub use tutelage_corpus::{
    Bin, Change, CorpusError, Diff, Fate, JobSettings, Manifest, Outcome, Sample, ShardOf, Stats, diff, merge, sample,
    stats,
};
