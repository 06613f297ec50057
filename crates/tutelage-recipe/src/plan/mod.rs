//! What a recipe will do: every name resolved, every number checked, every stage with its cost.

mod corpus;
mod cost;
mod features;
mod models;
mod objective;
mod on_policy;
mod online;
mod resolve;
mod servers;
mod several;
mod teachers;

use std::path::PathBuf;
use std::sync::Arc;

use tutelage_loss::TargetKind;
use tutelage_model::{DecoderConfig, LoraConfig};
use tutelage_teacher::cache::Kept;
use tutelage_teacher::capture::{Capture, Context};
use tutelage_teacher::remote::ServerConfig;
use tutelage_tensor::Precision;
use tutelage_token::Tokenizer;
use tutelage_train::TrainConfig;

use crate::Recipe;
use crate::spec::SelectionSpec;

pub(crate) use corpus::Corpus;
pub use cost::PlanRow;
pub(crate) use models::{FirstWeights, TokenizerPlan};
pub use resolve::plan;
pub(crate) use several::{OTHERS, taught_by};

/// A recipe that can be carried out.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The recipe it was made from.
    pub recipe: Recipe,
    /// What products are computed in.
    pub(crate) precision: Precision,
    pub(crate) tokenizer: TokenizerPlan,
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
    /// Nothing to make: it is evaluated beside those that learn from it.
    Stored(Box<TeacherModel>),
}

/// The training of that name.
pub(crate) fn training<'s>(stages: &'s [Stage], name: &str) -> Option<&'s TrainPlan> {
    stages.iter().filter_map(Stage::training).find(|train| train.name == name)
}

impl Stage {
    fn training(&self) -> Option<&TrainPlan> {
        match self {
            Stage::Train(train) => Some(train),
            Stage::Cache(_) | Stage::Stored(_) => None,
        }
    }
}

/// A teacher's cache.
#[derive(Debug, Clone)]
pub(crate) struct CachePlan {
    pub(crate) name: String,
    /// Who is written down.
    pub(crate) teacher: Teaches,
    pub(crate) kept: Kept,
    /// Entries of the tokenizer.
    pub(crate) vocab_size: usize,
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
    /// Name of its way to train.
    pub(crate) training: String,
    pub(crate) seed: u64,
    pub(crate) model: DecoderConfig,
    pub(crate) first: FirstWeights,
    /// Routes of the documents that it learns from; of all if there are none.
    pub(crate) routes: Vec<String>,
    pub(crate) recompute: bool,
    pub(crate) eval_sequences: usize,
    pub(crate) config: TrainConfig,
    pub(crate) teacher: Option<TeacherSource>,
    /// Sequences that go through a live teacher at once.
    pub(crate) teacher_batch: usize,
    /// How it is learned who of several teaches a document, if it is.
    pub(crate) selection: Option<SelectionSpec>,
    /// Whether live teachers' weights are in memory only while they read.
    pub(crate) offload: bool,
    /// How the teacher learns, if it does.
    pub(crate) online: Option<Box<OnlinePlan>>,
    /// What it learns from, in words.
    pub(crate) objective: String,
}

/// A teacher that learns.
#[derive(Debug, Clone)]
pub(crate) struct OnlinePlan {
    pub(crate) lora: LoraConfig,
    pub(crate) config: TrainConfig,
}

/// A model that teaches.
#[derive(Debug, Clone)]
pub(crate) struct TeacherModel {
    /// Of the run that trains it, or in the recipe's models.
    pub(crate) name: String,
    /// Where it lies, if no run trains it.
    pub(crate) stored: Option<PathBuf>,
    /// The step of its training after which it is as it teaches; the last if not given.
    pub(crate) snapshot: Option<u64>,
    pub(crate) config: DecoderConfig,
    /// Its tokenizer, where that is its own.
    pub(crate) own: Option<Arc<Tokenizer>>,
}

impl TeacherModel {
    /// The training among these stages that makes it, if one does.
    pub(crate) fn training<'s>(&self, stages: &'s [Stage]) -> Option<&'s TrainPlan> {
        if self.stored.is_none() { training(stages, &self.name) } else { None }
    }

    /// Its name, with the step if it is not the last.
    pub(crate) fn title(&self) -> String {
        self.snapshot.map_or_else(|| self.name.clone(), |step| format!("{} after {step} steps", self.name))
    }
}

/// Who is written down in a cache.
#[derive(Debug, Clone)]
pub(crate) enum Teaches {
    /// A model.
    Model(Box<TeacherModel>),
    /// A server.
    Server(ServerPlan),
    /// Somebody whom DistillKit has written down, and what that one may have read.
    Capture(Capture, Context),
}

impl Teaches {
    pub(crate) fn name(&self) -> String {
        match self {
            Teaches::Model(model) => model.title(),
            Teaches::Server(server) => server.name.clone(),
            Teaches::Capture(capture, _) => {
                let folder = capture.folder();
                folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned()
            }
        }
    }

    pub(crate) fn model(&self) -> Option<&TeacherModel> {
        match self {
            Teaches::Model(model) => Some(model),
            Teaches::Server(_) | Teaches::Capture(..) => None,
        }
    }
}

/// A server of the recipe.
#[derive(Debug, Clone)]
pub(crate) struct ServerPlan {
    pub(crate) name: String,
    pub(crate) config: ServerConfig,
}

/// One of several teachers.
#[derive(Debug, Clone)]
pub(crate) struct MemberPlan {
    pub(crate) source: TeacherSource,
    /// Routes of the documents that it teaches; of all if there are none.
    pub(crate) routes: Vec<String>,
    pub(crate) weight: f64,
}

/// Where targets come from.
#[derive(Debug, Clone)]
pub(crate) enum TeacherSource {
    /// A model running beside.
    Live { teacher: Box<TeacherModel> },
    /// A cache.
    Cache { cache: String, teacher: Teaches, kept: Kept },
    /// A server that is asked while the student learns.
    Server { server: ServerPlan, kept: Kept },
    /// Several, each a live one or a cache.
    Several(Vec<MemberPlan>),
}

impl TeacherSource {
    /// It, or all that it consists of.
    pub(crate) fn all(&self) -> Vec<&TeacherSource> {
        match self {
            TeacherSource::Several(members) => members.iter().map(|member| &member.source).collect(),
            one => vec![one],
        }
    }

    /// The models that teach, live or through a cache, as far as they are ours.
    pub(crate) fn models(&self) -> Vec<&TeacherModel> {
        let mut out = Vec::new();
        for source in self.all() {
            match source {
                TeacherSource::Live { teacher } => out.push(&**teacher),
                TeacherSource::Cache { teacher, .. } => out.extend(teacher.model()),
                TeacherSource::Server { .. } | TeacherSource::Several(_) => {}
            }
        }
        out
    }

    /// The models that run beside the student.
    pub(crate) fn live(&self) -> Vec<&TeacherModel> {
        let is_live = |source: &&TeacherSource| matches!(source, TeacherSource::Live { .. });
        self.all().into_iter().filter(is_live).flat_map(TeacherSource::models).collect()
    }

    /// Names of the caches that it reads.
    pub(crate) fn caches(&self) -> Vec<&str> {
        let mut out = Vec::new();
        for source in self.all() {
            if let TeacherSource::Cache { cache, .. } = source {
                out.push(cache.as_str());
            }
        }
        out
    }

    /// Its name, or their names.
    pub(crate) fn name(&self) -> String {
        match self {
            TeacherSource::Live { teacher } => teacher.name.clone(),
            TeacherSource::Cache { teacher, .. } => teacher.name(),
            TeacherSource::Server { server, .. } => server.name.clone(),
            TeacherSource::Several(members) => {
                members.iter().map(|member| member.source.name()).collect::<Vec<_>>().join(", ")
            }
        }
    }

    /// What its targets are.
    pub(crate) fn targets(&self) -> TargetKind {
        match self {
            TeacherSource::Live { .. } => TargetKind::Whole,
            // All members have the same kind.
            TeacherSource::Several(members) => {
                members.first().map_or(TargetKind::Whole, |member| member.source.targets())
            }
            TeacherSource::Cache { kept, .. } | TeacherSource::Server { kept, .. } => match kept {
                Kept::TopPK { .. } => TargetKind::TopPK,
                Kept::Samples { .. } => TargetKind::Samples,
            },
        }
    }
}
