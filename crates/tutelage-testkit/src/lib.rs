//! Tolerances and fixture reading for tests.
//!
//! - [`assert_close`] compares with an absolute and a relative tolerance and says where it failed.
//! - [`finite_difference`] is the referee of gradients.
//! - [`Fixture`] reads a small `.safetensors` file that a script beside it made.
//! - [`Scratch`] is a folder that goes with its test.

mod close;
mod external;
mod fixture;
mod scratch;

pub use close::{assert_close, finite_difference, wave};
pub use external::{smollm2, vocabularies};
pub use fixture::Fixture;
pub use scratch::Scratch;
