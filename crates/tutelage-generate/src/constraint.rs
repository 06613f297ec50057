//! Text that keeps to a JSON schema or a regular expression, by the llguidance library.
//!
//! Before each draw the library says which tokens may follow; the others get no mass. Log-probabilities are still the model's.

use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use tutelage_token::Spelling;

use crate::GenerateError;

/// What a text must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Grammar {
    /// A JSON value that a schema allows.
    JsonSchema(Value),
    /// A text that a regular expression matches as a whole.
    Regex(String),
}

impl Grammar {
    /// Any JSON object.
    pub fn json_object() -> Self {
        Self::JsonSchema(json!({ "type": "object" }))
    }

    fn compiled(&self) -> TopLevelGrammar {
        match self {
            Grammar::Regex(pattern) => TopLevelGrammar::from_regex(pattern),
            Grammar::JsonSchema(schema) => {
                let mut schema = schema.clone();
                // Models that may write as many spaces as they like sometimes write nothing else.
                if let Value::Object(fields) = &mut schema
                    && !fields.contains_key(OPTIONS)
                {
                    fields.insert(OPTIONS.to_owned(), json!({ "whitespace_pattern": r"[\x20\x0A\x0D\x09]{1,20}" }));
                }
                TopLevelGrammar::from_json_schema(schema)
            }
        }
    }
}

/// Where the library looks for its own options in a schema.
const OPTIONS: &str = "x-guidance";

/// A vocabulary as the library wants it; made once for a model.
pub(crate) struct Grammars(ParserFactory);

impl std::fmt::Debug for Grammars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Grammars")
    }
}

impl Grammars {
    /// For what tokens stand for, the one that ends a document, and all that end a text.
    ///
    /// # Errors
    /// When the library refuses the vocabulary.
    pub(crate) fn new(spellings: &[Spelling], eos: u32, ends: &[u32]) -> Result<Self, GenerateError> {
        let words: Vec<Vec<u8>> = spellings
            .iter()
            .map(|spelling| match spelling {
                Spelling::Bytes(bytes) => bytes.clone(),
                Spelling::Special(name) => [&[TokTrie::SPECIAL_TOKEN_MARKER], name.as_bytes()].concat(),
            })
            .collect();
        let info = TokRxInfo::new(words.len() as u32, eos);
        let ends: Vec<u32> = ends.iter().copied().filter(|&id| (id as usize) < words.len()).collect();
        let trie = TokTrie::from(&info, &words).with_eos_tokens(&ends);
        let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let mut factory = ParserFactory::new_simple(&env).map_err(|error| wrong("the vocabulary", &error))?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Ok(Self(factory))
    }

    /// A constraint, before the first token.
    ///
    /// # Errors
    /// When the grammar is wrong, too large, or beyond the library.
    pub(crate) fn constraint(&self, grammar: &Grammar) -> Result<Constraint, GenerateError> {
        let what = match grammar {
            Grammar::JsonSchema(_) => "the JSON schema",
            Grammar::Regex(_) => "the regular expression",
        };
        let parser = self.0.create_parser(grammar.compiled()).map_err(|error| wrong(what, &error))?;
        let mut matcher = Matcher::new(Ok(parser));
        match matcher.compute_mask() {
            Ok(_) => Ok(Constraint(matcher)),
            Err(error) => Err(wrong(what, &error)),
        }
    }
}

fn wrong(what: &str, error: &dyn std::fmt::Display) -> GenerateError {
    // The first line says it; what follows is the library's state.
    let error = error.to_string();
    GenerateError::Request(format!("{what} cannot be used: {}", error.lines().next().unwrap_or_default()))
}

/// What may follow a text so far.
pub struct Constraint(Matcher);

impl std::fmt::Debug for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Constraint")
    }
}

impl Clone for Constraint {
    fn clone(&self) -> Self {
        // Samples run beside one another.
        Self(self.0.deep_clone())
    }
}

/// What a constraint says of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may go on.
    Open,
    /// Nothing can follow.
    Complete,
    /// The library has given up: the grammar became too large.
    Failed,
}

impl Constraint {
    /// Takes away what may not follow.
    pub(crate) fn mask(&mut self, logits_v: &mut [f32]) -> Verdict {
        let Ok(mask) = self.0.compute_mask_or_eos() else { return Verdict::Failed };
        for (id, logit) in logits_v.iter_mut().enumerate() {
            if !mask.is_allowed(id as u32) {
                *logit = f32::NEG_INFINITY;
            }
        }
        Verdict::Open
    }

    /// Takes the token that was drawn.
    pub(crate) fn push(&mut self, id: u32) -> Verdict {
        match self.0.consume_token(id) {
            Err(_) => Verdict::Failed,
            Ok(()) if self.0.is_stopped() => Verdict::Complete,
            Ok(()) => Verdict::Open,
        }
    }
}
