//! What can go wrong.

/// A tokenizer could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The bytes are not a tokenizer.
    #[error("not a tokenizer.json: {0}")]
    Format(String),
    /// A tokenizer without a token that documents need.
    #[error("the tokenizer has no token '{0}', which marks the borders of documents")]
    MissingSpecial(String),
    /// More entries were asked for than the text supports, or fewer than bytes need.
    #[error("a vocabulary of {asked} entries was asked for, {found}")]
    VocabSize {
        /// What was asked.
        asked: usize,
        /// What was found, and what to try.
        found: String,
    },
    /// A chat template that is none, fails, or refuses.
    #[error("chat template: {0}")]
    Template(String),
    /// The library failed.
    #[error("the tokenizers library: {0}")]
    Library(String),
}

impl TokenError {
    /// Whether the request was wrong, rather than the machine.
    pub fn is_request(&self) -> bool {
        !matches!(self, TokenError::Library(_))
    }
}
