//! `[runs.teacher]`: who teaches a run, and how that enters its loss.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::{FeaturesSpec, LoraSpec, ScheduleSpec};

/// `[runs.teacher]`: give `run` or `model` for a live teacher, `cache`, `server` with `top_k`, or `members`; and `alpha`, or `text_weight` and
/// `teacher_weight`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherSpec {
    /// Name of the run whose model teaches live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Name of a stored model that teaches live, as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Name of a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// Name of a server, which is asked while the run learns; what it says is not kept (a cache keeps it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Most entries of a token that a server is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Sequences that go through a live teacher at once; as many as through the student if not given. Memory, not results,
    /// depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_batch_size: Option<usize>,
    /// Whether the weights of live teachers are in memory only while they read: of several, memory then holds the largest, not all. They
    /// are read from the files for each micro-batch.
    #[serde(default)]
    pub offload: bool,
    /// Several teachers in the place of one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberSpec>,
    /// Distance between the distributions: `forward_kl` (teacher first), `reverse_kl`, `jsd` (with `beta`), `skew_kl` and
    /// `skew_reverse_kl` (with `skew`), `total_variation`, `nll` (the gradient of `forward_kl`), `mse` (of probabilities),
    /// `logit_mse`, `sampled_reverse_kl` (of tokens that the student
    /// wrote: policy gradients).
    #[serde(default = "forward_kl")]
    pub divergence: String,
    /// Weight of the teacher in the mixture of `jsd`, from 0 (forward KL) to 1 (reverse KL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    /// Share of the first distribution in the mixture of `skew_kl` and `skew_reverse_kl`, below 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skew: Option<f64>,
    /// Temperature of the student's distribution in the distance: a number, or `"teacher"` for the teacher's.
    #[serde(default = "StudentTemperatureSpec::one")]
    pub student_temperature: StudentTemperatureSpec,
    /// Whether the distance is multiplied by the square of the teacher's temperature.
    #[serde(default)]
    pub temperature_squared: bool,
    /// Whether what a cache of the most likely entries leaves out is one more class, on both sides; else what it keeps is
    /// renormalised.
    #[serde(default)]
    pub tail: bool,
    /// Whether only tokens are taught that the teacher finds most likely itself.
    #[serde(default)]
    pub guided: bool,
    /// How it is learned who of several live members teaches a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionSpec>,
    /// Learning from the student's own texts, with a live teacher or a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_policy: Option<OnPolicySpec>,
    /// Adapters of a live teacher that learn beside the student.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub online: Option<OnlineSpec>,
    /// What is compared inside of both models, beside the distributions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<FeaturesSpec>,
    /// Weight of the teacher: `(1 - alpha) CE + alpha D`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<ScheduleSpec>,
    /// Weight of the cross-entropy with the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_weight: Option<ScheduleSpec>,
    /// Weight of the distance to the teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher_weight: Option<ScheduleSpec>,
    /// Temperature of the teacher's distribution.
    #[serde(default = "TemperatureSpec::one")]
    pub temperature: TemperatureSpec,
}

impl TeacherSpec {
    /// Names of the caches that it reads.
    pub(crate) fn caches(&self) -> impl Iterator<Item = &String> {
        self.cache.iter().chain(self.members.iter().filter_map(|member| member.cache.as_ref()))
    }

    /// Names of the stored models that teach live.
    pub(crate) fn models(&self) -> impl Iterator<Item = &String> {
        self.model.iter().chain(self.members.iter().filter_map(|member| member.model.as_ref()))
    }
}

/// `[runs.teacher.selection]`: who of several live members teaches a document, learned from what their teaching does to the student.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectionSpec {
    /// What is drawn for a document.
    pub choice: ChoiceSpec,
    /// How far a step's reward moves the policy.
    #[serde(default = "selection_lr")]
    pub lr: f64,
}

/// `choice`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceSpec {
    /// Each member teaches or does not.
    Each,
    /// All teach, with weights.
    Weights,
}

/// `[runs.teacher.on_policy]`: some sequences of each step are continued by the student from the first tokens of their documents, and taught by
/// the teacher alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnPolicySpec {
    /// Chance of a sequence to be the student's own.
    pub fraction: ScheduleSpec,
    /// Tokens of each document that are kept, from its first on.
    #[serde(default = "prompt_tokens")]
    pub prompt_tokens: usize,
    /// Temperature at which the student writes.
    #[serde(default = "one")]
    pub temperature: f64,
}

/// `[runs.teacher.online]`: the teacher's weights stay as they are, and adapters beside them learn from the text and from the student.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnlineSpec {
    /// The adapters.
    pub lora: LoraSpec,
    /// Weight of the cross-entropy with the text.
    #[serde(default = "one_schedule")]
    pub text_weight: ScheduleSpec,
    /// Weight of the KL divergence of the teacher from the student.
    pub student_weight: ScheduleSpec,
    /// Learning rate of the adapters; the run's if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<ScheduleSpec>,
}

/// `[[runs.teacher.members]]`: give `run`, `model` or `cache`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberSpec {
    /// Name of the run whose model teaches live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Name of a stored model that teaches live, as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Name of a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// Values of `data.route_field` whose documents it teaches; `"*"` for all that no other member names. All documents if not
    /// given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// Weight of its distribution where several members teach a document: live ones are averaged.
    #[serde(default = "one")]
    pub weight: f64,
}

/// `temperature`: a schedule, or a table with `per_row` for a temperature of each token's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", untagged)]
pub enum TemperatureSpec {
    /// The same for all tokens.
    Schedule(ScheduleSpec),
    /// Each token's own.
    PerRow(RowTemperatureSpec),
}

/// A table with `per_row`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "per_row", rename_all = "snake_case", deny_unknown_fields)]
pub enum RowTemperatureSpec {
    /// `factor` times the standard deviation of the teacher's logits.
    Deviation {
        /// What multiplies the deviation.
        factor: ScheduleSpec,
    },
    /// Between two values, by the entropy of the teacher's distribution.
    Entropy {
        /// Where one entry has all the mass.
        certain: ScheduleSpec,
        /// Where all have the same.
        uncertain: ScheduleSpec,
    },
}

/// `student_temperature`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum StudentTemperatureSpec {
    /// A number.
    Number(f64),
    /// `"teacher"`.
    Teacher,
}

defaults! {
    forward_kl: String = "forward_kl".to_owned();
    one: f64 = 1.0;
    prompt_tokens: usize = 32;
    selection_lr: f64 = 0.1;
    one_schedule: ScheduleSpec = ScheduleSpec::Number(1.0);
}

impl TemperatureSpec {
    /// The number one.
    fn one() -> Self {
        Self::Schedule(ScheduleSpec::Number(1.0))
    }
}

impl TryFrom<Value> for TemperatureSpec {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let is_per_row = value.as_table().is_some_and(|table: &Table| table.contains_key("per_row"));
        let read = match is_per_row {
            true => RowTemperatureSpec::deserialize(value).map(Self::PerRow),
            false => ScheduleSpec::deserialize(value).map(Self::Schedule),
        };
        read.map_err(|error| {
            format!("{} (a temperature of each token's own is a table with 'per_row')", error.message())
        })
    }
}

impl StudentTemperatureSpec {
    fn one() -> Self {
        Self::Number(1.0)
    }
}

impl TryFrom<Value> for StudentTemperatureSpec {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::Float(number) => Ok(Self::Number(number)),
            Value::Integer(number) => Ok(Self::Number(number as f64)),
            Value::String(name) if name == "teacher" => Ok(Self::Teacher),
            other => Err(format!("student_temperature = {other}: must be a number, or \"teacher\"")),
        }
    }
}

impl From<StudentTemperatureSpec> for Value {
    fn from(spec: StudentTemperatureSpec) -> Self {
        match spec {
            StudentTemperatureSpec::Number(number) => Value::Float(number),
            StudentTemperatureSpec::Teacher => Value::String("teacher".to_owned()),
        }
    }
}
