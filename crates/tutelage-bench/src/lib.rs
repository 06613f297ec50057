//! What the speed claims are measured with.
//!
//! # Tour
//! - [`ceilings`]: what the machine can do at best: matrix products in registers, memory bandwidth.
//! - [`kernels`]: every fused operation by itself, forward and backward, against those and its naive reference.
//! - [`step`]: whole training steps at named [`Shape`]s, with a live or a cached teacher if asked, through the
//!   same code that trains.
//! - [`encode()`]: texts to tokens, beside the library.
//! - [`generate()`]: reading prompts and writing texts, over cached keys and values.
//!
//! Timings are medians of several repeats; nothing here decides how anything else runs.

mod ceilings;
mod encode;
mod error;
mod generate;
mod kernels;
mod shape;
mod stand_in;
mod step;

pub use ceilings::{Ceilings, ceilings};
pub use encode::{EncodeTimes, encode};
pub use error::BenchError;
pub use generate::{DecodeTimes, GenerateRequest, GenerateTimes, PrefillTimes, generate, open_model, random_model};
pub use kernels::{KernelTime, KernelTimes, kernels};
pub use shape::Shape;
pub use step::{OperationTime, StepRequest, StepTimes, TeacherKind, step};
pub use tutelage_model::DecoderConfig;
pub use tutelage_tensor::Weights;

/// The median of some timings.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
