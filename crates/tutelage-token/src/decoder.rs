//! Text as tokens come.

use crate::{TokenError, Tokenizer};

/// Tokens before the first one that its text may depend on.
const CONTEXT: usize = 6;

/// Emits the text of tokens one by one, holding back bytes until they form characters.
///
/// What a token adds depends on those before it (SentencePiece's first space goes away at the beginning of a text and nowhere
/// else), so it is the difference between two texts.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// Tokens that were shown, as far as they matter, then those that were not.
    ids: Vec<u32>,
    n_shown: usize,
}

impl Decoder {
    /// Nothing emitted yet, after these tokens.
    ///
    /// # Errors
    /// When the library fails.
    pub fn after(tokenizer: &Tokenizer, context: &[u32]) -> Result<Self, TokenError> {
        let mut ids = context[context.len().saturating_sub(CONTEXT)..].to_vec();
        // A context that begins inside a character would spoil what follows.
        while tokenizer.decode(&ids)?.starts_with('\u{fffd}') {
            ids.remove(0);
        }
        Ok(Self { n_shown: ids.len(), ids })
    }

    /// Takes a token; returns what can be shown now.
    ///
    /// # Errors
    /// When the library fails.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> Result<String, TokenError> {
        self.ids.push(id);
        let text = self.pending(tokenizer)?;
        // A character has at most four bytes, so after four tokens the bytes are simply wrong.
        if text.ends_with('\u{fffd}') && self.ids.len() - self.n_shown < 4 {
            return Ok(String::new());
        }
        // What was shown together begins and ends with characters.
        self.ids.drain(..self.n_shown);
        self.n_shown = self.ids.len();
        Ok(text)
    }

    /// What is left at the end.
    ///
    /// # Errors
    /// When the library fails.
    pub fn finish(&self, tokenizer: &Tokenizer) -> Result<String, TokenError> {
        self.pending(tokenizer)
    }

    /// The text of what was not shown.
    fn pending(&self, tokenizer: &Tokenizer) -> Result<String, TokenError> {
        if self.n_shown == self.ids.len() {
            return Ok(String::new());
        }
        let before = tokenizer.decode(&self.ids[..self.n_shown])?;
        let all = tokenizer.decode(&self.ids)?;
        Ok(match all.strip_prefix(&before) {
            Some(added) => added.to_owned(),
            None => tokenizer.decode(&self.ids[self.n_shown..])?,
        })
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
        let mut decoder = Decoder::after(&tokenizer, &[]).unwrap();
        let parts: Vec<String> = ids.iter().map(|&id| decoder.push(&tokenizer, id).unwrap()).collect();
        assert_eq!(parts, ["a", "", "", "", "\u{1f408}", "b"]);
        assert_eq!(decoder.finish(&tokenizer).unwrap(), "");
    }

    #[test]
    fn what_is_no_character_is_shown_in_the_end() {
        let tokenizer = Tokenizer::train_bpe(["aa"; 4].into_iter(), 259).unwrap();
        let cat = tokenizer.encode("\u{1f408}").unwrap();
        let mut decoder = Decoder::after(&tokenizer, &cat[..2]).unwrap();
        assert_eq!(decoder.push(&tokenizer, cat[0]).unwrap(), "");
        assert_eq!(decoder.finish(&tokenizer).unwrap(), "\u{fffd}");
        let shown: String = [cat[0]; 6].map(|id| decoder.push(&tokenizer, id).unwrap()).concat();
        assert!(shown.contains('\u{fffd}'), "{shown:?}");
    }
}
