//! A recipe file becomes a validated plan; the plan is carried out stage by stage.
//!
//! # Tour
//! - [`spec`]: the TOML file, unknown keys refused; [`load`] reads it and applies `--set`.
//! - [`plan`]: every name resolved, every number checked, every stage with its cost.
//! - [`run`]: the stages. Each leaves a `stage.json` with the hash of what it was made from, so a second run
//!   keeps what is done, goes on where it stopped, and refuses to mix settings.
//! - [`corpus`]: stages over documents, each on its own.
//! - [`inspect`]: what any file or folder of ours is, and whether it is whole. [`continue_text`] and
//!   [`continue_file`]: a model's folder or GGUF file continues prompts. [`convert`]: a GGUF file becomes a folder.

mod angles;
mod captured;
mod convert;
pub mod corpus;
mod documents;
mod engine;
mod error;
mod generate;
mod gguf;
mod inspect;
mod load;
pub mod plan;
pub mod run;
pub mod spec;
mod stored;
mod teacher;
mod tokenizer;

pub use angles::{Angle, AnglesRequest, angles};
pub use captured::{CapturedTexts, captured_texts};
pub use convert::{ConvertRequest, Converted, convert};
pub use engine::EngineChoice;
pub use error::RecipeError;
pub use generate::{
    ChatSession, Continuation, Continued, FileRequest, FileStats, GenerateRequest, ModelChoice, Prompt, Written,
    WrittenToken, continue_file, continue_text, open_generator,
};
pub use inspect::{Finding, Workload, inspect};
pub use load::{Recipe, load};
pub use teacher::{CacheReport, cache_stats, verify_cache};
pub use tokenizer::{BuildRequest, Compression, build_tokenizer, open_tokenizer};
pub use tutelage_generate::{Grammar, Sampling, SpeculationStats};
pub use tutelage_tensor::Weights;
pub use tutelage_token::BuildSizes;
