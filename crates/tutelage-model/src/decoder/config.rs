//! Sizes of a decoder, and Hugging Face's `config.json` of the InternLM2 family.

use serde_json::{Value, json};

use crate::ModelError;

/// Sizes of a decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
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
    /// Width of the gated feed-forward.
    pub d_ff: usize,
    /// Longest document.
    pub max_positions: usize,
    /// Base of the rotary angles.
    pub rope_theta: f64,
    /// Added to the mean square in RMSNorm.
    pub norm_eps: f64,
    /// Deviation of the initial weights.
    pub init_std: f64,
    /// Id that begins a document.
    pub bos: u32,
    /// Id that ends a document.
    pub eos: u32,
}

const MAX_D_HEAD: usize = 256;
const MAX_LAYERS: usize = 1 << 16;
const MAX_WEIGHTS: f64 = 1e13;

impl DecoderConfig {
    /// Size of a head.
    pub fn d_head(&self) -> usize {
        self.d_model / self.n_heads
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
        let widest = (4 * self.d_model) as f64 + (3 * self.d_ff) as f64;
        let weights = self.d_model as f64 * (2.0 * self.vocab_size as f64 + self.n_layers as f64 * widest);
        if weights > MAX_WEIGHTS {
            return fault("d_model", self.d_model, format!("makes a model of {weights:.1e} weights, larger than any"));
        }
        if !self.d_model.is_multiple_of(self.n_heads) {
            let message = format!("does not divide d_model = {}; heads share the width evenly", self.d_model);
            return fault("n_heads", self.n_heads, message);
        }
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            let message = format!("does not divide n_heads = {}; query heads share them evenly", self.n_heads);
            return fault("n_kv_heads", self.n_kv_heads, message);
        }
        let d_head = self.d_head();
        if !d_head.is_multiple_of(2) || d_head > MAX_D_HEAD {
            let message = format!("gives heads of {d_head}; they must be even (rotation) and at most {MAX_D_HEAD}");
            return fault("n_heads", self.n_heads, message);
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

    /// `config.json`, as InternLM2's own.
    pub fn to_json(&self) -> Value {
        json!({
            "architectures": ["InternLM2ForCausalLM"],
            "model_type": "internlm2",
            "vocab_size": self.vocab_size,
            "hidden_size": self.d_model,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_kv_heads,
            "intermediate_size": self.d_ff,
            "max_position_embeddings": self.max_positions,
            "rope_theta": self.rope_theta,
            "rope_scaling": null,
            "rms_norm_eps": self.norm_eps,
            "initializer_range": self.init_std,
            "hidden_act": "silu",
            "bias": false,
            "tie_word_embeddings": false,
            "use_cache": true,
            "torch_dtype": "float32",
            "bos_token_id": self.bos,
            "eos_token_id": self.eos,
            "pad_token_id": self.eos,
        })
    }

    /// Reads `config.json`; what this program would compute differently is refused.
    ///
    /// # Errors
    /// Names the field that is missing or not supported.
    pub fn from_json(config: &Value) -> Result<Self, ModelError> {
        let fault = |field, value: Option<&Value>, fault: &str| ModelError::Config {
            field,
            value: value.map_or("nothing".to_owned(), Value::to_string),
            fault: fault.to_owned(),
        };
        let size = |field| {
            let value = config.get(field);
            let number = value.and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
            number.ok_or_else(|| fault(field, value, "expected a whole number in config.json"))
        };
        let real = |field| {
            let value = config.get(field);
            value.and_then(Value::as_f64).ok_or_else(|| fault(field, value, "expected a number in config.json"))
        };
        for (field, expected) in [
            ("model_type", json!("internlm2")),
            ("hidden_act", json!("silu")),
            ("bias", json!(false)),
            ("tie_word_embeddings", json!(false)),
            ("rope_scaling", json!(null)),
        ] {
            let found = config.get(field).unwrap_or(&Value::Null);
            if *found != expected && !(found.is_null() && field != "model_type") {
                return Err(fault(field, Some(found), &format!("only {expected} is supported")));
            }
        }
        let out = Self {
            vocab_size: size("vocab_size")?,
            d_model: size("hidden_size")?,
            n_layers: size("num_hidden_layers")?,
            n_heads: size("num_attention_heads")?,
            n_kv_heads: size("num_key_value_heads").or_else(|_| size("num_attention_heads"))?,
            d_ff: size("intermediate_size")?,
            max_positions: size("max_position_embeddings")?,
            rope_theta: real("rope_theta")?,
            norm_eps: real("rms_norm_eps")?,
            init_std: real("initializer_range").unwrap_or(0.02),
            bos: size("bos_token_id")? as u32,
            eos: size("eos_token_id")? as u32,
        };
        out.validate()?;
        Ok(out)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn tiny() -> DecoderConfig {
        DecoderConfig {
            vocab_size: 40,
            d_model: 16,
            n_layers: 2,
            n_heads: 4,
            n_kv_heads: 2,
            d_ff: 24,
            max_positions: 32,
            rope_theta: 10_000.0,
            norm_eps: 1e-5,
            init_std: 0.02,
            bos: 1,
            eos: 2,
        }
    }

    #[test]
    fn json_comes_back() {
        assert_eq!(DecoderConfig::from_json(&tiny().to_json()).unwrap(), tiny());
    }

    #[test]
    fn impossible_sizes_are_named() {
        let message = |config: DecoderConfig| config.validate().unwrap_err().to_string();
        assert!(message(DecoderConfig { n_heads: 3, ..tiny() }).contains("does not divide d_model = 16"));
        assert!(message(DecoderConfig { n_kv_heads: 3, ..tiny() }).contains("does not divide n_heads = 4"));
        assert!(message(DecoderConfig { n_heads: 16, ..tiny() }).contains("heads of 1"));
        assert!(message(DecoderConfig { d_ff: 0, ..tiny() }).starts_with("d_ff = 0"));
        let mut json = tiny().to_json();
        json["tie_word_embeddings"] = json!(true);
        assert!(DecoderConfig::from_json(&json).unwrap_err().to_string().contains("only false is supported"));
    }
}
