//! AdamW (Loshchilov and Hutter, 1711.05101) and the global gradient norm.

mod cpu;
pub mod reference;

pub use cpu::{AdamWStep, adamw, grad_squares, sum_of_squares};
