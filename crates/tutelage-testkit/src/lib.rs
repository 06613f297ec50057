//! Tolerances and fixture reading for tests.
//!
//! - [`assert_close`] compares with an absolute and a relative tolerance and says where it failed.
//! - [`finite_difference`] is the referee of gradients.
//! - [`Fixture`] reads a small `.safetensors` file that a script beside it made.

mod close;
mod external;
mod fixture;

pub use close::{assert_close, finite_difference, wave};
pub use external::{smollm2, vocabularies};
pub use fixture::Fixture;
