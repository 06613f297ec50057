//! What a mixture is asked for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::MixError;

/// Settings of the stage `mix`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MixSettings {
    /// The tokenizer: a model's folder, or a tokenizer's file. Not needed where all sources are tokens already.
    pub tokenizer: PathBuf,
    /// Sources by name, beside those that are named as inputs.
    pub sources: BTreeMap<String, SourceSettings>,
    /// What is trained on, one after the other; everything once if there is none.
    pub phases: Vec<PhaseSettings>,
    /// Share of documents that no phase has, by the hash of their text: a shard of its own.
    pub heldout_fraction: f64,
    /// Of the draws.
    pub seed: u64,
}

impl Default for MixSettings {
    fn default() -> Self {
        Self { tokenizer: PathBuf::new(), sources: BTreeMap::new(), phases: Vec::new(), heldout_fraction: 0.0, seed: 1 }
    }
}

/// `sources.NAME`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceSettings {
    /// Files and folders of documents, folders that a stage wrote, or folders of tokens.
    pub inputs: Vec<PathBuf>,
    /// How often its tokens are seen at most, over all phases. If not given, weights see them once, and what a phase says with
    /// `epochs` holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_epochs: Option<f64>,
}

/// `[[phases]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseSettings {
    /// Its name, and that of its shard.
    pub name: String,
    /// Tokens of a sequence in it; the shard is not cut, but numbers of packing are given for it.
    #[serde(default = "seq_len")]
    pub seq_len: usize,
    /// Tokens of all sources together; if not given, as many as there are by `weights` or `epochs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Shares of the tokens, by source; they are brought to a sum of 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, f64>,
    /// In place of weights: how often each source is seen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub epochs: BTreeMap<String, f64>,
    /// How many of the tokens are in short documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<ShortSettings>,
}

fn seq_len() -> usize {
    4096
}

/// `short`: as InternLM2's phase of 32k has it, half of the data under 4096 tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShortSettings {
    /// Documents of fewer tokens are short.
    pub below: u32,
    /// Their share of the phase's tokens.
    pub share: f64,
}

impl MixSettings {
    /// The phases, of which there is at least one.
    pub(crate) fn all_phases(&self, sources: &[&str]) -> Vec<PhaseSettings> {
        if !self.phases.is_empty() {
            return self.phases.clone();
        }
        let epochs = sources.iter().map(|name| ((*name).to_owned(), 1.0)).collect();
        let name = "train".to_owned();
        vec![PhaseSettings { name, seq_len: seq_len(), tokens: None, weights: BTreeMap::new(), epochs, short: None }]
    }

    pub(crate) fn check(&self, sources: &[&str]) -> Result<(), MixError> {
        if !(0.0..=0.5).contains(&self.heldout_fraction) {
            return Err(MixError::request(format!("heldout_fraction = {}: expected 0 to 0.5", self.heldout_fraction)));
        }
        for (name, source) in &self.sources {
            if let Some(most) = source.max_epochs.filter(|most| !(*most > 0.0 && *most <= MAX_EPOCHS)) {
                let found = format!("sources.{name}.max_epochs = {most}: expected above 0, at most {MAX_EPOCHS}");
                return Err(MixError::request(found));
            }
        }
        for (number, phase) in self.phases.iter().enumerate() {
            let fault = |found: String| Err(MixError::request(format!("phase '{}': {found}", phase.name)));
            is_name(&phase.name).or_else(&fault)?;
            if phase.name == HELDOUT || self.phases[..number].iter().any(|before| before.name == phase.name) {
                return fault("the name is taken".to_owned());
            }
            if !(2..=1 << 30).contains(&phase.seq_len) {
                return fault(format!("seq_len = {}: expected 2 or more", phase.seq_len));
            }
            if phase.weights.is_empty() == phase.epochs.is_empty() {
                return fault(
                    "give either weights (shares of tokens by source) or epochs (passes by source)".to_owned(),
                );
            }
            if !phase.epochs.is_empty() && phase.tokens.is_some() {
                return fault("epochs say how many tokens there are: leave tokens out, or give weights".to_owned());
            }
            if phase.tokens == Some(0) {
                return fault("tokens = 0: expected 1 or more".to_owned());
            }
            let given = phase.weights.iter().map(|(name, x)| ("weights", name, x));
            for (what, name, x) in given.chain(phase.epochs.iter().map(|(name, x)| ("epochs", name, x))) {
                if !sources.contains(&&name[..]) {
                    return fault(format!("{what}.{name}: there is no such source; there are {}", sources.join(", ")));
                }
                if !(*x > 0.0 && x.is_finite() && (what == "weights" || *x <= MAX_EPOCHS)) {
                    return fault(format!(
                        "{what}.{name} = {x}: expected a number above 0; leave out what is not wanted"
                    ));
                }
            }
            if let Some(short) = phase.short {
                if phase.tokens.is_none() {
                    return fault("short is a share of tokens: say how many these are with tokens".to_owned());
                }
                if !(0.0..=1.0).contains(&short.share) || short.below < 2 {
                    return fault(format!(
                        "short = {{below = {}, share = {}}}: expected a length, and a share of 0 to 1",
                        short.below, short.share
                    ));
                }
            }
        }
        Ok(())
    }
}

/// How often documents can be counted.
const MAX_EPOCHS: f64 = 200.0;

/// The shard of what is held out.
pub(crate) const HELDOUT: &str = "heldout";

/// Whether a name may be that of files.
pub(crate) fn is_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    match !name.is_empty() && name.len() <= 100 && name.chars().all(is_plain) {
        true => Ok(()),
        false => Err(format!("'{name}' is to be a name of files: letters, digits, - and _")),
    }
}
