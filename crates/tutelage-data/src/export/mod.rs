//! The tokens of a shard for other trainers.

mod litdata;
mod llmc;
mod nanotron;

pub use litdata::litdata;
pub use llmc::llmc;
pub use nanotron::{NANOTRON_ENDINGS, nanotron};
