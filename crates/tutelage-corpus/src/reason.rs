//! Why a document was dropped: the keys of `dropped` in a manifest.

use std::fmt;

/// Every reason there is. Its name, which manifests and dropped documents carry, is that of [`fmt::Display`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it, and docs/data.md has the table")]
pub enum Reason {
    // Damage, in any stage.
    NotUtf8,
    NotJson,
    NoText,
    TooLong,
    Truncated,
    NotWarc,
    NotHttp,
    NotDecodable,
    // Read.
    Empty,
    NotText,
    HttpStatus,
}

impl Reason {
    const DAMAGE: [Self; 8] = [
        Self::NotUtf8,
        Self::NotJson,
        Self::NoText,
        Self::TooLong,
        Self::Truncated,
        Self::NotWarc,
        Self::NotHttp,
        Self::NotDecodable,
    ];

    /// Whether the file is at fault, rather than what the document says.
    pub fn is_damage(self) -> bool {
        Self::DAMAGE.contains(&self)
    }

    /// Whether this is the name of damage.
    pub fn names_damage(name: &str) -> bool {
        Self::DAMAGE.iter().any(|reason| reason.to_string() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::NoText => "no_text",
            Self::TooLong => "too_long",
            Self::Truncated => "truncated",
            Self::NotWarc => "not_warc",
            Self::NotHttp => "not_http",
            Self::NotDecodable => "not_decodable",
            Self::Empty => "empty",
            Self::NotText => "not_text",
            Self::HttpStatus => "http_status",
        })
    }
}
