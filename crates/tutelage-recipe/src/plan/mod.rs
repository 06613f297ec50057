//! What a recipe will do: every name resolved, every number checked, every stage with its cost.

mod corpus;
mod cost;
mod resolve;
mod teachers;

use tutelage_model::DecoderConfig;
use tutelage_teacher::cache::Kept;
use tutelage_tensor::Precision;
use tutelage_train::TrainConfig;

use crate::Recipe;

pub(crate) use corpus::Corpus;
pub use cost::PlanRow;
pub use resolve::plan;

/// A recipe that can be carried out.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The recipe it was made from.
    pub recipe: Recipe,
    /// What products are computed in.
    pub(crate) precision: Precision,
    /// What the documents amount to.
    pub(crate) corpus: Corpus,
    /// What is done, in order, after tokenizer and shards.
    pub(crate) stages: Vec<Stage>,
}

/// One stage.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    Cache(Box<CachePlan>),
    Train(Box<TrainPlan>),
}

/// A teacher's cache.
#[derive(Debug, Clone)]
pub(crate) struct CachePlan {
    pub(crate) name: String,
    /// The trained model that is written down.
    pub(crate) teacher: String,
    pub(crate) teacher_config: DecoderConfig,
    pub(crate) kept: Kept,
    /// `(data seed, sequences drawn)` of each training that reads it.
    pub(crate) readers: Vec<(u64, u64)>,
}

/// A model to train.
#[derive(Debug, Clone)]
pub(crate) struct TrainPlan {
    /// Unique name.
    pub(crate) name: String,
    /// Name shared by seeds.
    pub(crate) group: String,
    pub(crate) seed: u64,
    pub(crate) model: DecoderConfig,
    pub(crate) recompute: bool,
    pub(crate) eval_sequences: usize,
    pub(crate) config: TrainConfig,
    pub(crate) teacher: Option<TeacherSource>,
    /// What it learns from, in words.
    pub(crate) objective: String,
}

/// Where targets come from.
#[derive(Debug, Clone)]
pub(crate) enum TeacherSource {
    /// A trained model, running beside.
    Live { run: String, config: Box<DecoderConfig> },
    /// A cache of a trained model.
    Cache { cache: String, run: String },
}

impl TeacherSource {
    /// Name of the model that teaches.
    pub(crate) fn run(&self) -> &str {
        let (TeacherSource::Live { run, .. } | TeacherSource::Cache { run, .. }) = self;
        run
    }
}
