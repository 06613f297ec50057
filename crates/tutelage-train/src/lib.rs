//! The training loop: step, accumulation, AdamW, checkpoints, metrics.
//!
//! # Tour
//! - [`train`] runs a model to its last step, from the newest whole checkpoint if there is one.
//! - [`TrainConfig`] says how; [`Distillation`] says how a teacher's targets enter the loss. Which teacher it
//!   is, the loop never learns: it holds a `dyn Teacher` or none.
//! - [`Learner`] is one step: accumulate, clip, update.
//! - [`checkpoint`]: folders `step-N` written beside, synced, renamed; the last few are kept.
//!
//! Data order is a function of (seed, step), so weights, moments, the step number and the running means of
//! the metrics are all there is to save: a run that was killed ends with the same bits.

pub mod checkpoint;
mod config;
mod error;
mod features;
mod learner;
mod losses;
mod metrics;
mod on_policy;
mod online;
mod optimizer;
mod step;
mod trainer;

pub use config::{Distillation, FeatureSchedule, OnPolicy, TemperatureSchedule, TrainConfig, Weights};
pub use error::TrainError;
pub use learner::{Learner, StepOutcome};
pub use losses::Losses;
pub use on_policy::{Continue, Prompt, StepBatches};
pub use online::{AsTeacher, Online};
pub use step::teacher_input;
pub use trainer::{Job, Outcome, SnapshotError, TrainStats, train};
