//! An answer's JSON, and the rows in it.

use std::collections::HashMap;

use serde::Deserialize;

use crate::cache::{Row, most_likely_first};

/// What is read of an answer.
#[derive(Debug, Deserialize)]
pub(super) struct Completion {
    pub(super) model: Option<String>,
    pub(super) system_fingerprint: Option<String>,
    pub(super) choices: Vec<Choice>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    pub(super) index: usize,
    pub(super) logprobs: Option<Logprobs>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Logprobs {
    pub(super) tokens: Vec<String>,
    pub(super) top_logprobs: Option<Vec<Option<HashMap<String, f64>>>>,
}

/// Log-probabilities may be above zero by rounding, no more.
const ROUNDING: f64 = 1e-2;

impl Completion {
    /// The choices in the order of their prompts, of which there were `n`.
    pub(super) fn by_prompt(self, n: usize) -> Result<Vec<Logprobs>, String> {
        let found = self.choices.len();
        let mut out: Vec<Option<Logprobs>> = (0..n).map(|_| None).collect();
        for choice in self.choices {
            let place = out.get_mut(choice.index).filter(|place| place.is_none());
            let place = place.ok_or_else(|| {
                format!("{found} choices, of which one has the index {}, for {n} prompts", choice.index)
            })?;
            *place = Some(choice.logprobs.ok_or("it has no log-probabilities ('logprobs' is null)")?);
        }
        let all: Option<Vec<Logprobs>> = out.into_iter().collect();
        all.ok_or_else(|| format!("{found} choices for {n} prompts"))
    }
}

/// The id of a token that is named by it.
fn id(name: &str) -> Result<u32, String> {
    let number = name.strip_prefix("token_id:").and_then(|number| number.parse().ok());
    number.ok_or_else(|| {
        format!("tokens are not named by ids but as {name:?}: it does not know return_tokens_as_token_ids")
    })
}

impl Logprobs {
    /// Ids of the tokens.
    pub(super) fn ids(&self) -> Result<Vec<u32>, String> {
        self.tokens.iter().map(|name| id(name)).collect()
    }

    /// What follows each of `sent` but the last: at most `top_k` entries, the most likely first.
    pub(super) fn rows(self, sent: &[u32], top_k: usize, vocab_size: usize) -> Result<Vec<Row>, String> {
        let ids = self.ids()?;
        if ids.len() < sent.len() || ids[..sent.len()] != *sent {
            let first = ids.iter().zip(sent).position(|(a, b)| a != b).unwrap_or(ids.len().min(sent.len()));
            let n = ids.len();
            return Err(format!(
                "it is about {n} tokens where {} were sent, and another one at place {first}",
                sent.len()
            ));
        }
        let top = self.top_logprobs.ok_or("it has no top_logprobs")?;
        if top.len() != ids.len() {
            return Err(format!("{} tokens, and log-probabilities at {} places", ids.len(), top.len()));
        }
        let of_place = |(at, found): (usize, Option<HashMap<String, f64>>)| {
            let found = found.ok_or_else(|| format!("no log-probabilities at place {at}"))?;
            row(found, top_k, vocab_size).map_err(|found| format!("at place {at}: {found}"))
        };
        top.into_iter().enumerate().take(sent.len()).skip(1).map(of_place).collect()
    }
}

fn row(found: HashMap<String, f64>, top_k: usize, vocab_size: usize) -> Result<Row, String> {
    let mut row = Row::with_capacity(found.len());
    let mut mass = 0.0;
    for (name, log_p) in found {
        let id = id(&name)?;
        if id as usize >= vocab_size {
            return Err(format!("id {id} is beyond the vocabulary of {vocab_size}"));
        }
        if log_p.is_nan() || log_p > ROUNDING {
            return Err(format!("{log_p} is no log-probability"));
        }
        mass += log_p.exp();
        row.push((id, log_p as f32));
    }
    if mass > 1.0 + ROUNDING {
        return Err(format!("probabilities sum to {mass}: they are not those of temperature 1"));
    }
    most_likely_first(&mut row);
    // The prompt's own token comes beside the most likely ones.
    row.truncate(top_k);
    match row.is_empty() {
        true => Err("no entries".to_owned()),
        false => Ok(row),
    }
}
