//! Objectives, target types, the [`Teacher`] trait, schedules. Pure: no I/O, no randomness, no state.
//!
//! # Tour
//! - [`Targets`] are what a teacher supplies: its full distribution (live), a truncated one ([`SparseTargets`]
//!   with top-p-k), counts of samples, or nothing but the text.
//! - [`Teacher`] supplies them for a batch; the training loop knows this trait and nothing more.
//! - [`Mixture`] is the objective `(1 - alpha) CE + alpha D`, given to the engine's chunked linear-and-loss;
//!   [`cross_entropy`] and the files of [`divergence`] hold one formula each.
//! - [`Schedule`] is learning rate, alpha and temperature over the steps.

pub mod cross_entropy;
pub mod divergence;
mod mixture;
mod schedule;
mod sparse;
mod teacher;
pub mod truncate;

pub use divergence::Divergence;
pub use mixture::{Mixture, Terms};
pub use schedule::{Schedule, Shape};
pub use sparse::SparseTargets;
pub use teacher::{Targets, Teacher, TeacherError, TeacherInput};
