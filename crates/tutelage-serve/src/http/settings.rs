//! Settings that completions and chats have in common, in OpenAI's names and those of other servers.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use serde::Deserialize;
use serde_json::Value;
use tutelage_generate::{Grammar, Sampling};

use super::failure::Failure;
use crate::config::ServeLimits;

/// A text, or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// What goes with a stream; an answer that comes as a whole always has its numbers of tokens.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamOptions {
    pub(super) include_usage: Option<bool>,
}

/// The form of an answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ResponseFormat {
    Text {},
    JsonObject {},
    JsonSchema { json_schema: NamedSchema },
    Regex { pattern: String },
}

/// A schema and its name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedSchema {
    /// For the client's own use.
    #[serde(rename = "name")]
    _name: Option<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    schema: Value,
    /// The schema is always kept to.
    #[serde(rename = "strict")]
    _strict: Option<bool>,
}

impl ResponseFormat {
    /// What the text must be, if anything.
    pub(super) fn grammar(&self) -> Option<Grammar> {
        match self {
            ResponseFormat::Text {} => None,
            ResponseFormat::JsonObject {} => Some(Grammar::json_object()),
            ResponseFormat::JsonSchema { json_schema } => Some(Grammar::JsonSchema(json_schema.schema.clone())),
            ResponseFormat::Regex { pattern } => Some(Grammar::Regex(pattern.clone())),
        }
    }
}

/// What the settings come to.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) sampling: Sampling,
    pub(super) stop: Vec<String>,
    pub(super) stop_ids: Vec<u32>,
    pub(super) ignores_end: bool,
    pub(super) n: usize,
    pub(super) streams: bool,
    pub(super) includes_usage: bool,
    pub(super) grammar: Option<Grammar>,
}

/// Settings as they are sent, without those that are not given.
#[derive(Debug, Default)]
pub(super) struct Given<'a> {
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) top_k: Option<i32>,
    pub(super) min_p: Option<f64>,
    pub(super) typical_p: Option<f64>,
    pub(super) repetition_penalty: Option<f64>,
    pub(super) presence_penalty: Option<f64>,
    pub(super) frequency_penalty: Option<f64>,
    pub(super) logit_bias: Option<&'a BTreeMap<String, f64>>,
    pub(super) seed: Option<i64>,
    pub(super) stop: Option<&'a OneOrMany>,
    pub(super) stop_token_ids: Option<&'a [u32]>,
    pub(super) ignore_eos: Option<bool>,
    pub(super) n: Option<usize>,
    pub(super) stream: Option<bool>,
    pub(super) stream_options: Option<&'a StreamOptions>,
    pub(super) response_format: Option<&'a ResponseFormat>,
}

/// A request's type: fields of its own, and those that all have in common.
macro_rules! request_type {
    ($(#[$of_type:meta])* $name:ident { $($(#[$of_field:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$of_type])*
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $($(#[$of_field])* $field: $type,)*
            pub(super) model: Option<String>,
            temperature: Option<f64>,
            top_p: Option<f64>,
            top_k: Option<i32>,
            min_p: Option<f64>,
            typical_p: Option<f64>,
            repetition_penalty: Option<f64>,
            presence_penalty: Option<f64>,
            frequency_penalty: Option<f64>,
            logit_bias: Option<std::collections::BTreeMap<String, f64>>,
            seed: Option<i64>,
            stop: Option<super::settings::OneOrMany>,
            stop_token_ids: Option<Vec<u32>>,
            ignore_eos: Option<bool>,
            n: Option<usize>,
            stream: Option<bool>,
            stream_options: Option<super::settings::StreamOptions>,
            response_format: Option<super::settings::ResponseFormat>,
            /// For the client's own use, as `metadata`.
            #[serde(rename = "user")]
            _user: Option<String>,
            #[serde(rename = "metadata")]
            _metadata: Option<serde_json::Value>,
            store: Option<bool>,
        }

        impl $name {
            /// What the common settings come to.
            fn settings(
                &self,
                limits: &crate::config::ServeLimits,
            ) -> Result<super::settings::Settings, super::failure::Failure> {
                if self.store == Some(true) {
                    return Err(super::failure::Failure::param("store", "nothing is stored here"));
                }
                super::settings::Given {
                    temperature: self.temperature,
                    top_p: self.top_p,
                    top_k: self.top_k,
                    min_p: self.min_p,
                    typical_p: self.typical_p,
                    repetition_penalty: self.repetition_penalty,
                    presence_penalty: self.presence_penalty,
                    frequency_penalty: self.frequency_penalty,
                    logit_bias: self.logit_bias.as_ref(),
                    seed: self.seed,
                    stop: self.stop.as_ref(),
                    stop_token_ids: self.stop_token_ids.as_deref(),
                    ignore_eos: self.ignore_eos,
                    n: self.n,
                    stream: self.stream,
                    stream_options: self.stream_options.as_ref(),
                    response_format: self.response_format.as_ref(),
                }
                .settings(limits)
            }
        }
    };
}
pub(super) use request_type;

/// Texts that may end a text.
const MAX_STOPS: usize = 16;
/// Characters of one.
const MAX_STOP: usize = 256;

impl Given<'_> {
    pub(super) fn settings(self, limits: &ServeLimits) -> Result<Settings, Failure> {
        let stop = match self.stop {
            None => Vec::new(),
            Some(OneOrMany::One(text)) => vec![text.clone()],
            Some(OneOrMany::Many(all)) => all.clone(),
        };
        if stop.len() > MAX_STOPS || stop.iter().any(|text| text.is_empty() || text.chars().nth(MAX_STOP).is_some()) {
            let message = format!("at most {MAX_STOPS} texts, each of 1 to {MAX_STOP} characters");
            return Err(Failure::param("stop", message));
        }
        let n = self.n.unwrap_or(1);
        if n == 0 || n > limits.samples {
            return Err(Failure::param("n", format!("must be from 1 to {}, is {n}", limits.samples)));
        }
        let streams = self.stream.unwrap_or(false);
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(1.0),
            top_p: self.top_p.unwrap_or(1.0),
            top_k: top_k(self.top_k)?,
            min_p: self.min_p.unwrap_or(0.0),
            typical_p: self.typical_p.unwrap_or(1.0),
            repetition_penalty: self.repetition_penalty.unwrap_or(1.0),
            presence_penalty: self.presence_penalty.unwrap_or(0.0),
            frequency_penalty: self.frequency_penalty.unwrap_or(0.0),
            logit_bias: logit_bias(self.logit_bias)?,
            seed: self.seed.map_or_else(any_seed, |seed| seed as u64),
        };
        sampling.validate()?;
        Ok(Settings {
            sampling,
            stop,
            stop_ids: self.stop_token_ids.unwrap_or_default().to_vec(),
            ignores_end: self.ignore_eos.unwrap_or(false),
            n,
            streams,
            includes_usage: self.stream_options.and_then(|options| options.include_usage).unwrap_or(false),
            grammar: self.response_format.and_then(ResponseFormat::grammar),
        })
    }
}

fn top_k(given: Option<i32>) -> Result<usize, Failure> {
    match given.unwrap_or(0) {
        // -1 is all elsewhere.
        -1 => Ok(0),
        k => usize::try_from(k).map_err(|_| Failure::param("top_k", format!("must be -1, 0 or positive, is {k}"))),
    }
}

fn logit_bias(given: Option<&BTreeMap<String, f64>>) -> Result<Vec<(u32, f64)>, Failure> {
    let entry = |(id, bias): (&String, &f64)| match (id.parse(), (-100.0..=100.0).contains(bias)) {
        (Ok(id), true) => Ok((id, *bias)),
        _ => Err(Failure::param("logit_bias", format!("'{id}': {bias}: must be a token's id and from -100 to 100"))),
    };
    given.into_iter().flatten().map(entry).collect()
}

/// A seed that nobody asked for.
pub(super) fn any_seed() -> u64 {
    // Keys of the standard library's hash tables are random.
    RandomState::new().hash_one(0)
}
