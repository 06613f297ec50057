//! The recipe file. Every key is documented here; unknown keys are refused.

/// Functions for `serde(default)`.
macro_rules! defaults {
    ($($name:ident: $type:ty = $value:expr;)*) => {
        $(fn $name() -> $type { $value })*
    };
}

mod claim;
mod features;
mod model;
mod schedule;
mod server;
mod teacher;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tutelage_data::Packing;

pub use claim::{ClaimRowSpec, ClaimSpec};
pub use features::{AttentionSpec, FeaturesSpec, HiddenSpec, SquareSpec};
pub use model::{ExpertsSpec, LoraSpec, ModelSpec, SizesSpec, StoredSpec, TokenizerSpec};
pub use schedule::{ScheduleSpec, ShapeSpec};
pub use server::ServerSpec;
pub use teacher::{
    ChoiceSpec, MemberSpec, OnPolicySpec, OnlineSpec, RowTemperatureSpec, SelectionSpec, StudentTemperatureSpec,
    TeacherSpec, TemperatureSpec,
};

/// A whole recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeSpec {
    /// Name of the recipe, and of its run folder.
    pub name: String,
    /// Seed of the packing, and of every run that gives none.
    #[serde(default)]
    pub seed: u64,
    /// What products are computed in.
    #[serde(default)]
    pub precision: PrecisionSpec,
    /// Texts.
    pub data: DataSpec,
    /// Tokenizer.
    pub tokenizer: TokenizerSpec,
    /// Models, by name.
    pub models: BTreeMap<String, ModelSpec>,
    /// Ways to train, by name.
    pub training: BTreeMap<String, TrainingSpec>,
    /// Servers that teach, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub servers: BTreeMap<String, ServerSpec>,
    /// Teachers' caches, by name.
    #[serde(default)]
    pub caches: BTreeMap<String, CacheSpec>,
    /// What is trained, in order.
    pub runs: Vec<RunSpec>,
    /// What the runs are to find out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ClaimSpec>,
    /// Texts that every model continues in the end.
    #[serde(default)]
    pub samples: SamplesSpec,
}

/// `precision`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrecisionSpec {
    /// bf16 operands, f32 sums and weights.
    #[default]
    Bf16,
    /// f32 throughout.
    F32,
}

/// `[data]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// Files of documents, folders of them, or folders that a stage over documents has left; relative to the recipe's folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<PathBuf>,
    /// In their place a folder that `tutelage data mix` has left, relative to the recipe's folder: one of its phases is trained on,
    /// its shard 'heldout' is held out, and its sources are the documents' routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mix: Option<PathBuf>,
    /// Which phase; needed where it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// How training documents are laid into sequences.
    #[serde(default, skip_serializing_if = "is_stream")]
    pub packing: Packing,
    /// Field of a JSONL object that holds the text.
    #[serde(default = "text_field")]
    pub text_field: String,
    /// Field of a JSONL object by which documents go to teachers (`runs.teacher.members.routes`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_field: Option<String>,
    /// Share of the documents that is never trained on.
    #[serde(default = "heldout_fraction")]
    pub heldout_fraction: f64,
    /// Tokens of a sequence.
    pub seq_len: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_stream(packing: &Packing) -> bool {
    *packing == Packing::Stream
}

/// `[training.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSpec {
    /// Optimizer steps.
    pub steps: u64,
    /// Sequences of a step.
    pub batch_size: usize,
    /// Sequences that go through the model at once; `batch_size` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_batch_size: Option<usize>,
    /// Decay of AdamW's first moment.
    #[serde(default = "beta1")]
    pub beta1: f64,
    /// Decay of AdamW's second moment.
    #[serde(default = "beta2")]
    pub beta2: f64,
    /// Added to the root of the second moment.
    #[serde(default = "eps")]
    pub eps: f64,
    /// Decoupled weight decay of matrices.
    #[serde(default = "weight_decay")]
    pub weight_decay: f64,
    /// Largest norm of the gradient; 0 for no limit.
    #[serde(default = "grad_clip")]
    pub grad_clip: f64,
    /// Whether blocks are computed again on the way back, to save memory.
    #[serde(default)]
    pub recompute: bool,
    /// Steps between lines of the metrics.
    #[serde(default = "log_every")]
    pub log_every: u64,
    /// Steps between held-out evaluations; 0 for none.
    #[serde(default = "eval_every")]
    pub eval_every: u64,
    /// Held-out sequences of such an evaluation (the last one uses all).
    #[serde(default = "eval_sequences")]
    pub eval_sequences: usize,
    /// Steps between checkpoints.
    #[serde(default = "checkpoint_every")]
    pub checkpoint_every: u64,
    /// Checkpoints kept.
    #[serde(default = "keep_checkpoints")]
    pub keep_checkpoints: usize,
    /// Shares of the steps after which the model is kept for good, as `snapshots/step-N`: it can teach as it was then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<f64>,
    /// Learning rate.
    pub lr: ScheduleSpec,
}

/// `[caches.NAME]`: give `run`, `model`, `server` or `capture`; `top_k` and perhaps `top_p`, or `samples`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheSpec {
    /// Name of the run whose model is the teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The run's model as it was after this share of its steps, one of its `snapshots`; at the end if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<f64>,
    /// Name of a stored model that is the teacher, as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Name of a server that is the teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Folder with what DistillKit has written of the teacher, relative to the recipe's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<PathBuf>,
    /// Whether a capture teaches the part of a document too that began in another sequence: its teacher has then read more of the document than
    /// the student.
    #[serde(default)]
    pub longer_context: bool,
    /// Probability mass to keep; all that `top_k` entries have if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Most entries to keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Independent draws a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
}

/// `[[runs]]`: one model to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// Its name.
    pub name: String,
    /// Name of its model.
    pub model: String,
    /// Name of its way to train.
    pub training: String,
    /// Seeds of first values and data order; one model each. The recipe's seed if not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<u64>,
    /// Name of a run before, with the same model, from whose model it goes on (of the same seed, if that has several); first values are
    /// drawn, or read, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Values of `data.route_field` whose documents it learns from; others are left out of its batches. All if not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// Who teaches it; the text alone if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherSpec>,
}

/// `[samples]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplesSpec {
    /// Texts to continue.
    #[serde(default)]
    pub prompts: Vec<String>,
    /// Most tokens to write.
    #[serde(default = "max_tokens")]
    pub max_tokens: usize,
    /// Divides the logits.
    #[serde(default = "temperature")]
    pub temperature: f64,
    /// Only the most likely that together reach this mass.
    #[serde(default = "top_p")]
    pub top_p: f64,
}

impl Default for SamplesSpec {
    fn default() -> Self {
        Self { prompts: Vec::new(), max_tokens: max_tokens(), temperature: temperature(), top_p: top_p() }
    }
}

defaults! {
    text_field: String = "text".to_owned();
    heldout_fraction: f64 = 0.05;
    beta1: f64 = 0.9;
    beta2: f64 = 0.95;
    eps: f64 = 1e-8;
    weight_decay: f64 = 0.1;
    grad_clip: f64 = 1.0;
    log_every: u64 = 10;
    eval_every: u64 = 100;
    eval_sequences: usize = 64;
    checkpoint_every: u64 = 100;
    keep_checkpoints: usize = 2;
    max_tokens: usize = 100;
    temperature: f64 = 0.8;
    top_p: f64 = 0.95;
}
