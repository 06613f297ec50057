//! Sampling text from a model.
//!
//! # Tour
//! - [`Generator`]: a model, its tokenizer and chat template; makes prompts of texts and chats.
//! - [`Engine`] takes [`Request`]s and writes many texts at once: sequences join and leave between steps, prompts come in parts,
//!   keys and values lie in pages that prompts which begin alike share. What it writes comes as [`Event`]s.
//! - [`Grammar`], [`Constraint`]: texts that keep to a JSON schema or a regular expression.
//! - [`beam_search`]: the texts that are likeliest as a whole.
//! - [`rollouts`]: texts that a model writes while it learns.
//! - [`Sampling`]: how tokens are drawn. A text depends on its request alone, not on what is written beside it.

mod beam;
mod best;
mod constraint;
mod engine;
mod error;
mod folder;
mod generator;
mod logits;
mod pages;
mod request;
mod rollout;
mod sampling;
mod stop;

pub use beam::{BeamSearch, Found, beam_search};
pub use best::best_first;
pub use constraint::{Constraint, Grammar};
pub use engine::{Engine, EngineLimits, SpeculationStats};
pub use error::GenerateError;
pub use folder::{read_chat_template, read_tokenizer};
pub use generator::Generator;
pub use request::{Event, Request, RequestId, StopReason};
pub use rollout::{RolloutPrompt, rollouts};
pub use sampling::{Sampling, TokenLogprobs};
