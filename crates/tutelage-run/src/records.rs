//! What the files of a run hold. Names are those of the JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Hash, Machine};

/// One line of `metrics.jsonl`: the same bits whenever and wherever the run was interrupted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricsRecord {
    /// Optimizer steps done.
    pub step: u64,
    /// Tokens trained on so far.
    pub tokens: u64,
    /// The objective, per token.
    pub loss: f64,
    /// Cross-entropy with the text, in nats per token, where there was text since the line before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lm_loss: Option<f64>,
    /// Distance to the teacher as the objective has it, per taught token, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kd_loss: Option<f64>,
    /// `KL(teacher || student)` at temperature 1 whatever the objective, in nats per token, so that runs with the same targets
    /// compare: of truncated targets renormalised, or with their tail if the objective has one; of samples, the
    /// frequencies.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kl: Option<f64>,
    /// Share of the tokens that are taught, where not all are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub taught: Option<f64>,
    /// Share of the learned tokens that the student wrote itself, where it writes any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub own: Option<f64>,
    /// What is compared inside of student and teacher, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub features: BTreeMap<String, FeatureRecord>,
    /// Balance loss of experts, where there are any: the experts a token goes to where all are used evenly.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub balance_loss: Option<f64>,
    /// Cross-entropy of a teacher that learns with the text, in nats per token.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub teacher_lm_loss: Option<f64>,
    /// Its distance to the student, per token.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub teacher_kd_loss: Option<f64>,
    /// Learning rate of the step.
    pub lr: f64,
    /// Weight of the text in the step, where there is a teacher.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text_weight: Option<f64>,
    /// Weight of the teacher in the step.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub teacher_weight: Option<f64>,
    /// Teacher's temperature in the step, where all rows share it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub temperature: Option<f64>,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Held-out cross-entropy in nats per token, where it was measured after this step.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heldout_loss: Option<f64>,
}

/// A comparison inside of student and teacher.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FeatureRecord {
    /// The mean, without its weight.
    pub value: f64,
    /// Its weight in the step.
    pub weight: f64,
}

/// One line of `throughput.jsonl`: what depends on the machine and the hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThroughputRecord {
    /// Optimizer steps done.
    pub step: u64,
    /// Seconds of training so far, over all interruptions.
    pub seconds: f64,
    /// Tokens a second since the line before.
    pub tokens_per_second: f64,
    /// Arithmetic a second since the line before, by the plan's count.
    pub flops_per_second: f64,
    /// Peak memory of the process in bytes, where the system tells.
    pub memory_bytes: Option<u64>,
}

/// A text that a model continued.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What it was given.
    pub prompt: String,
    /// What it wrote.
    pub text: String,
}

/// One model of `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSummary {
    /// Name in the recipe.
    pub name: String,
    /// What it learned from, in words.
    pub objective: String,
    /// Name of its teacher, if any.
    pub teacher: Option<String>,
    /// The stored model that its training began from, or that it is; none if it began at random.
    #[serde(default)]
    pub begins_from: Option<String>,
    /// Weights.
    pub parameters: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Held-out cross-entropy, nats per token.
    pub heldout_loss: f64,
    /// `exp` of that.
    pub heldout_perplexity: f64,
    /// Held-out bits per byte of text: comparable across tokenizers.
    pub heldout_bits_per_byte: f64,
    /// Expected calibration error of the most likely next token, from 0 to 1.
    #[serde(default)]
    pub heldout_calibration_error: Option<f64>,
    /// Held-out cross-entropy by route of the documents, nats per token, where they have routes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub heldout_by_route: BTreeMap<String, f64>,
    /// Seed of initialisation and data order.
    pub seed: u64,
    /// Name of the group over which seeds are averaged.
    pub group: String,
    /// Name of the way in which it was trained; empty for a model that was not.
    #[serde(default)]
    pub training: String,
    /// Folder of the weights, relative to the run; of a model that was not trained, where it is stored.
    pub path: String,
    /// Folder of its metrics, relative to the run; empty for a model that was not trained.
    pub stage: String,
    /// Texts it continued.
    #[serde(default)]
    pub samples: Vec<Sample>,
}

impl ModelSummary {
    /// Whether two models differ in what they learned from alone: as many weights and tokens, the same beginning, trained in the
    /// same way.
    pub fn is_comparable(&self, other: &Self) -> bool {
        let of = |m: &Self| (m.parameters, m.tokens, m.begins_from.clone(), m.training.clone());
        of(self) == of(other)
    }
}

/// A teacher's cache in `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheSummary {
    /// Name in the recipe.
    pub name: String,
    /// Model it was made from.
    pub teacher: String,
    /// Truncation, in words.
    pub kept: String,
    /// Tokens it covers.
    pub tokens: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes a token.
    pub bytes_per_token: f64,
    /// Entries a token, on average.
    pub entries_per_token: f64,
    /// Seconds it took.
    pub seconds: f64,
    /// Folder, relative to the run.
    pub path: String,
}

/// Models that differ in their seed only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupSummary {
    /// Name of the group.
    pub name: String,
    /// How many seeds.
    pub n_seeds: usize,
    /// Mean of held-out bits per byte.
    pub mean_bits_per_byte: f64,
    /// Sample standard deviation, where there are two seeds or more.
    pub std_bits_per_byte: Option<f64>,
    /// Mean of held-out cross-entropies, nats per token.
    #[serde(default)]
    pub mean_loss: Option<f64>,
    /// Its sample standard deviation.
    #[serde(default)]
    pub std_loss: Option<f64>,
    /// Mean of expected calibration errors.
    #[serde(default)]
    pub mean_calibration_error: Option<f64>,
    /// Its sample standard deviation.
    #[serde(default)]
    pub std_calibration_error: Option<f64>,
}

/// What a recipe was to find out, in `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimSummary {
    /// What was asked.
    pub title: String,
    /// What was compared.
    pub rows: Vec<ClaimRow>,
}

/// One group beside another, seed by seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimRow {
    /// The group.
    pub group: String,
    /// What it is compared with.
    pub against: String,
    /// The route of the documents over which losses are compared; all if none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub route: Option<String>,
    /// What the paper found.
    pub paper: String,
    /// Differences of held-out losses, nats per token, one a seed; negative where the group is better.
    pub differences: Vec<f64>,
}

/// The corpus, in `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CorpusSummary {
    /// Documents for training.
    pub train_documents: u64,
    /// Tokens for training.
    pub train_tokens: u64,
    /// Held-out documents.
    pub heldout_documents: u64,
    /// Held-out tokens.
    pub heldout_tokens: u64,
    /// Held-out bytes of text.
    pub heldout_bytes: u64,
    /// Entries of the vocabulary.
    pub vocab_size: u64,
    /// Tokens of a sequence.
    pub seq_len: u64,
}

/// `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the recipe.
    pub recipe: String,
    /// What it was trained on.
    pub corpus: CorpusSummary,
    /// Every trained model.
    pub models: Vec<ModelSummary>,
    /// Models averaged over seeds.
    pub groups: Vec<GroupSummary>,
    /// What was to be found out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ClaimSummary>,
    /// Every teacher's cache.
    pub caches: Vec<CacheSummary>,
    /// Seconds of all stages.
    pub seconds: f64,
}

/// `stage.json`: a stage that is done, and what it was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Name of the stage.
    pub stage: String,
    /// Hash of its settings and of the stages it reads.
    pub fingerprint: Hash,
    /// Hash of what it made.
    pub output: Hash,
    /// Seconds it took, over all interruptions.
    pub seconds: f64,
}

/// `manifest.json` of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the program.
    pub version: String,
    /// Recipe's file name.
    pub recipe: String,
    /// Hash of the resolved recipe.
    pub recipe_hash: Hash,
    /// Machine of the last process that worked on it.
    pub machine: Machine,
    /// Stages that are done.
    pub stages: Vec<StageRecord>,
}
