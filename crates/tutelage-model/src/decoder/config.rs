//! Sizes of a decoder.

use tutelage_tensor::DType;
use tutelage_tensor::kernels::attention::{AttentionShape, KvPool};

use super::{Family, Options, RopeScaling};
use crate::ModelError;

/// Sizes of a decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Whose architecture it is, by which its files are named and laid out.
    pub family: Family,
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Blocks.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key-value heads.
    pub n_kv_heads: usize,
    /// Size of a head.
    pub d_head: usize,
    /// Width of the gated feed-forward.
    pub d_ff: usize,
    /// Whether the embeddings are the output layer too.
    pub tied_embeddings: bool,
    /// What only some families have.
    pub options: Options,
    /// Longest document, as the model was trained; [`DecoderConfig::n_positions`] may be more.
    pub max_positions: usize,
    /// Base of the rotary angles.
    pub rope_theta: f64,
    /// How the angles differ from the plain ones.
    pub rope_scaling: RopeScaling,
    /// Added to the mean square in RMSNorm.
    pub norm_eps: f64,
    /// Deviation of the initial weights.
    pub init_std: f64,
    /// Id that begins a document, if the model has one.
    pub bos: Option<u32>,
    /// Id that ends a document.
    pub eos: u32,
    /// Other ids that end a text when one is written: of a turn in a chat, for example.
    pub more_eos: Vec<u32>,
}

const MAX_D_HEAD: usize = 256;
const MAX_LAYERS: usize = 1 << 16;
const MAX_EXPERTS: usize = 1 << 12;
const MAX_WEIGHTS: f64 = 1e13;

impl DecoderConfig {
    /// The configuration in another family that computes the same.
    ///
    /// # Errors
    /// When there is none: names what the other family does not have.
    pub fn converted(&self, family: Family) -> Result<Self, ModelError> {
        let mut config = Self { family, ..self.clone() };
        if family.rotates_pairs() && config.options.d_rotary.is_none() {
            config.options.d_rotary = Some(self.d_head);
        }
        if !family.rotates_pairs() && config.options.d_rotary == Some(self.d_head) {
            config.options.d_rotary = None;
        }
        config.validate()?;
        Ok(config)
    }

    /// The length that decides the angles of a document: zero if its own does not.
    pub fn rotated_by(&self, len: usize) -> usize {
        self.rope_scaling.rotated_by(len)
    }

    /// Bytes of a page of keys and values, in all layers.
    pub fn page_bytes(&self, dtype: DType) -> usize {
        KvPool::page_bytes(&self.attention_shapes(), dtype)
    }

    pub(super) fn attention_shape(&self, layer: usize) -> AttentionShape {
        let Self { n_heads, n_kv_heads, d_head, .. } = *self;
        AttentionShape { n_heads, n_kv_heads, d_head, window: self.options.window_of(layer) }
    }

    pub(super) fn attention_shapes(&self) -> Vec<AttentionShape> {
        (0..self.n_layers).map(|layer| self.attention_shape(layer)).collect()
    }

    /// Positions that the model can rotate to: more than `max_positions` where a scaling extends them.
    pub fn n_positions(&self) -> usize {
        self.rope_scaling.n_positions(self.max_positions)
    }

    /// Checks that the sizes make a model.
    ///
    /// # Errors
    /// Names the first setting that does not.
    pub fn validate(&self) -> Result<(), ModelError> {
        let fault =
            |field, value: usize, fault: String| Err(ModelError::Config { field, value: value.to_string(), fault });
        for (field, value) in [
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("n_layers", self.n_layers),
            ("n_heads", self.n_heads),
            ("n_kv_heads", self.n_kv_heads),
            ("d_head", self.d_head),
            ("d_ff", self.d_ff),
            ("max_positions", self.max_positions),
        ] {
            if value == 0 {
                return fault(field, 0, "must be at least 1".to_owned());
            }
            if value > 1 << 30 {
                return fault(field, value, "is larger than any model".to_owned());
            }
        }
        if self.n_layers > MAX_LAYERS {
            return fault("n_layers", self.n_layers, format!("is deeper than any model: at most {MAX_LAYERS}"));
        }
        // In floating point, where sizes such as these cannot overflow; below, counts are u64.
        let n_experts = self.options.experts.as_ref().map_or(1, |experts| experts.n_experts);
        if n_experts > MAX_EXPERTS {
            return fault("n_experts", n_experts, format!("are more than any model has: at most {MAX_EXPERTS}"));
        }
        let attention = 2.0 * (self.n_heads + self.n_kv_heads) as f64 * self.d_head as f64;
        let widest = attention + 3.0 * self.d_ff as f64 * n_experts as f64;
        let weights = self.d_model as f64 * (2.0 * self.vocab_size as f64 + self.n_layers as f64 * widest);
        if weights > MAX_WEIGHTS {
            return fault("d_model", self.d_model, format!("makes a model of {weights:.1e} weights, larger than any"));
        }
        self.family.check(self)?;
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            let message = format!("does not divide n_heads = {}; query heads share them evenly", self.n_heads);
            return fault("n_kv_heads", self.n_kv_heads, message);
        }
        let d_head = self.d_head;
        if !d_head.is_multiple_of(2) || d_head > MAX_D_HEAD {
            let message = format!("must be even (rotation) and at most {MAX_D_HEAD}");
            return fault("d_head", d_head, message);
        }
        let d_rotary = self.options.d_rotary.unwrap_or(d_head);
        if !d_rotary.is_multiple_of(2) || d_rotary == 0 || d_rotary > d_head {
            return fault("d_rotary", d_rotary, format!("must be even, and at most d_head = {d_head}"));
        }
        if self.options.window == Some(0) {
            return fault("window", 0, "must be at least 1".to_owned());
        }
        let full = &self.options.full_layers;
        if let Some(&last) = full.last() {
            if self.options.window.is_none() || !full.is_sorted_by(|a, b| a < b) || last >= self.n_layers {
                let message = "must be layers of the model, rising, of one with a window".to_owned();
                return Err(ModelError::Config { field: "full_layers", value: format!("{full:?}"), fault: message });
            }
            if full.len() == self.n_layers {
                return fault("window", self.options.window.unwrap_or(0), "is used by no layer".to_owned());
            }
        }
        if let Some(experts) = &self.options.experts {
            if experts.n_active == 0 || experts.n_active > experts.n_experts {
                let message = format!("must be between 1 and the number of experts, {}", experts.n_experts);
                return fault("n_active", experts.n_active, message);
            }
            if !(experts.balance.is_finite() && experts.balance >= 0.0) {
                let (field, value) = ("balance", experts.balance.to_string());
                let fault = "must be a number that is not negative".to_owned();
                return Err(ModelError::Config { field, value, fault });
            }
        }
        for (field, value) in
            [("rope_theta", self.rope_theta), ("norm_eps", self.norm_eps), ("init_std", self.init_std)]
        {
            if !(value.is_finite() && value > 0.0) {
                let fault = "must be a positive number".to_owned();
                return Err(ModelError::Config { field, value: value.to_string(), fault });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn tiny() -> DecoderConfig {
        DecoderConfig {
            family: Family::InternLm2,
            vocab_size: 40,
            d_model: 16,
            n_layers: 2,
            n_heads: 4,
            n_kv_heads: 2,
            d_head: 4,
            d_ff: 24,
            tied_embeddings: false,
            options: Options::default(),
            max_positions: 32,
            rope_theta: 10_000.0,
            rope_scaling: RopeScaling::None,
            norm_eps: 1e-5,
            init_std: 0.02,
            bos: Some(1),
            eos: 2,
            more_eos: Vec::new(),
        }
    }

    #[test]
    fn impossible_sizes_are_named() {
        let message = |config: DecoderConfig| config.validate().unwrap_err().to_string();
        assert!(message(DecoderConfig { n_heads: 3, ..tiny() }).contains("does not divide d_model = 16"));
        assert!(message(DecoderConfig { n_kv_heads: 3, ..tiny() }).contains("does not divide n_heads = 4"));
        assert!(message(DecoderConfig { n_heads: 16, d_head: 1, ..tiny() }).starts_with("d_head = 1: must be even"));
        assert!(message(DecoderConfig { d_ff: 0, ..tiny() }).starts_with("d_ff = 0"));
    }
}
