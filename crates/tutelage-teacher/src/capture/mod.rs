//! Captures: what DistillKit has written of a teacher, as a source for a cache.
//!
//! A folder of Parquet files, a document a row: `input_ids`, and for each of them but the last the most likely entries of what
//! follows, packed into bytes (`coding/`). `compression_config.yaml` beside them says how; nothing in them says of which teacher
//! and tokenizer they are. Rows may be packed: several documents, told apart by the numbers in `attention_mask`.
//!
//! Nothing is believed that can be compared: a row teaches only where the teacher has read the ids that the student reads, from the
//! document's first on ([`CaptureSource`]).
//!
//! The format is that of arcee-ai/DistillKit at a61c2e7 (`sample_logits_vllm.py`, `sample_common.py`, `pack_logits.py`, `compression/`).
//! Departures: values are not rounded to the type of the exact ones after they have been put together; entries that were
//! never written (minus infinity) and those beyond the vocabulary are left out; a row whose approximated entries have
//! more mass than one is scaled to one.

// Without Parquet nobody asks for columns.
#[cfg_attr(not(feature = "parquet"), allow(dead_code))]
mod coding;
mod coverage;
#[cfg_attr(not(feature = "parquet"), path = "absent.rs")]
mod files;
mod folder;
mod index;
mod record;
mod source;
mod spool;
#[cfg(all(test, feature = "parquet"))]
mod tests;

pub use coverage::Coverage;
pub use folder::Capture;
pub use record::Document;
pub use source::{CaptureSource, Context};
