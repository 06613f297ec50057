//! What every stage can be told.

use serde::{Deserialize, Serialize};

/// How documents are read and written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobSettings {
    /// Field of a JSONL object that holds the text.
    pub text_field: String,
    /// Largest document, in bytes; longer ones are counted as damaged. A thread holds one at a time.
    pub max_record_bytes: usize,
    /// How the output is compressed.
    pub compression: Compression,
    /// Whether dropped documents are kept aside in `dropped/`, each with the reason.
    pub keep_dropped: bool,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self {
            text_field: "text".to_owned(),
            max_record_bytes: 64 << 20,
            compression: Compression::None,
            keep_dropped: false,
        }
    }
}

/// `compression`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    None,
    /// Gzip, a member a chunk.
    Gz,
    /// Zstandard, a frame a chunk.
    Zst,
}

impl Compression {
    /// Ending of file names.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gz => ".gz",
            Self::Zst => ".zst",
        }
    }
}
