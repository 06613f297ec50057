//! Text as tokens come.

use crate::{TokenError, Tokenizer};

/// Emits the text of tokens one by one, holding back bytes until they form characters.
#[derive(Debug)]
pub struct Decoder<'t> {
    tokenizer: &'t Tokenizer,
    pending: Vec<u32>,
}

impl<'t> Decoder<'t> {
    /// Nothing emitted yet.
    pub fn new(tokenizer: &'t Tokenizer) -> Self {
        Self { tokenizer, pending: Vec::new() }
    }

    /// Takes a token; returns what can be shown now.
    ///
    /// # Errors
    /// When the library fails.
    pub fn push(&mut self, id: u32) -> Result<String, TokenError> {
        self.pending.push(id);
        let text = self.tokenizer.decode(&self.pending)?;
        // A character has at most four bytes, so after four tokens the bytes are simply wrong.
        if text.ends_with('\u{fffd}') && self.pending.len() < 4 {
            return Ok(String::new());
        }
        self.pending.clear();
        Ok(text)
    }

    /// What is left at the end.
    ///
    /// # Errors
    /// When the library fails.
    pub fn finish(self) -> Result<String, TokenError> {
        self.tokenizer.decode(&self.pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_cut() {
        let tokenizer = Tokenizer::train_bpe(["aa"; 4].into_iter(), 259).unwrap();
        let ids = tokenizer.encode("a\u{1f408}b").unwrap();
        assert_eq!(ids.len(), 6);
        let mut decoder = Decoder::new(&tokenizer);
        let parts: Vec<String> = ids.iter().map(|&id| decoder.push(id).unwrap()).collect();
        assert_eq!(parts, ["a", "", "", "", "\u{1f408}", "b"]);
        assert_eq!(decoder.finish().unwrap(), "");
    }
}
