//! One decoder; a family is a configuration and a map of names.

mod cached;
mod config;
mod config_json;
mod cost;
mod family;
mod forward;
mod init;
mod layout;
mod options;
mod rope;
mod rope_scaling;
mod weights;

use tutelage_tensor::{ParamId, Params};

pub use cached::{Cache, Part};
pub use config::DecoderConfig;
pub use family::Family;
pub use forward::{AttentionInput, Input, Onlookers, Probe};
pub(crate) use layout::{Layout, Stored};
pub use options::{ExpertOptions, Options};
use rope::Rope;
pub use rope_scaling::RopeScaling;
use weights::Weights;

use crate::lora::Adapters;
pub(crate) use weights::{Spec, specs};

/// A decoder: parameters and how they are applied.
#[derive(Debug)]
pub struct Decoder {
    config: DecoderConfig,
    params: Params,
    weights: Weights,
    rope: Rope,
    recompute: bool,
    adapters: Option<Adapters>,
}

impl Decoder {
    fn assemble(config: DecoderConfig, params: Params, weights: Weights) -> Self {
        let rope = Rope::new(&config);
        Self { config, params, weights, rope, recompute: false, adapters: None }
    }

    /// Keeps only each block's input in training and computes the block again on the way back:
    /// less memory, about a third more time, the same bits.
    pub fn set_recompute(&mut self, recompute: bool) {
        self.recompute = recompute;
    }

    /// Sizes.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// All weights.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// All weights, for the optimizer.
    pub fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    /// The output layer `[vocab_size, d_model]`; `[1, d_model]` of a reward model.
    pub fn head(&self) -> ParamId {
        self.weights.head
    }

    /// Floating-point operations of a training step per token, see [`DecoderConfig::training_flops`].
    pub fn training_flops(&self, seq_len: usize) -> u64 {
        self.config.training_flops(seq_len, self.adapters.is_some())
    }

    /// What learns beside the weights.
    pub(crate) fn adapters(&self) -> Option<&Adapters> {
        self.adapters.as_ref()
    }

    pub(crate) fn set_adapters(&mut self, adapters: Adapters) {
        self.adapters = Some(adapters);
    }
}
