//! Objectives, target types, the [`Teacher`] trait, schedules. Pure: no I/O, no randomness, no state.
//!
//! # Tour
//! - [`Targets`] are what a teacher supplies: its full distribution (live), a truncated one ([`SparseTargets`]
//!   with top-p-k), counts of samples, or nothing but the text.
//! - [`Teacher`] supplies them for a batch; the training loop knows this trait and nothing more.
//! - [`Objective`] says what a step minimises: weights, a [`Divergence`], a [`Temperature`], which rows are taught.
//!   [`cross_entropy`] and the files of `divergence/` hold one formula each.
//! - [`features`] are what is compared inside of student and teacher, one file a formula.
//! - [`Mixture`] is an objective over the rows of a batch, given to the engine's chunked linear-and-loss.
//! - [`Schedule`] is learning rate, weights and temperature over the steps.

pub mod cross_entropy;
mod divergence;
pub mod features;
pub mod guided;
mod mixture;
mod objective;
mod schedule;
mod sparse;
mod teacher;
mod temperature;
pub mod truncate;

pub use divergence::Divergence;
pub use mixture::{Mixture, Sparse, Terms};
pub use objective::{Objective, TargetKind};
pub use schedule::{Schedule, Shape};
pub use sparse::SparseTargets;
pub use teacher::{Rewarded, Targets, Teacher, TeacherError, TeacherInput};
pub use temperature::{StudentTemperature, Temperature};
