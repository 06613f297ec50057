//! Stages over documents: what each read, kept and dropped, and what documents were like.

mod page;
mod read;
mod stage;

pub use page::write_data_html;
pub use read::{DataReport, StageReport};
