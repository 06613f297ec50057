//! Hugging Face's `config.json`. What this program would compute differently is refused, by field and value.

use serde_json::{Map, Value, json};

use super::{DecoderConfig, Family, RopeScaling};
use crate::ModelError;

/// Fields that change nothing that is computed here, or are read beside.
const HARMLESS: [&str; 23] = [
    "_name_or_path",
    "architectures",
    "attn_implementation",
    "auto_map",
    "bos_token_id",
    "dtype",
    "eos_token_id",
    "id2label",
    "initializer_range",
    "is_llama_config",
    "label2id",
    "max_position_embeddings",
    "model_type",
    "name_or_path",
    "pad_token_id",
    // Slices that are summed: the same sums.
    "pretraining_tp",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "torch_dtype",
    "transformers_version",
    "use_cache",
    "vocab_size",
];

/// Sizes, read by name.
const SIZES: [&str; 6] =
    ["head_dim", "hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "num_key_value_heads"];

/// Fields that are supported at one value alone, which is also the one they have where they are missing or null.
fn fixed(family: Family) -> Vec<(&'static str, Value)> {
    let mut fields = vec![("hidden_act", json!("silu"))];
    match family {
        Family::InternLm2 => fields.extend([
            ("bias", json!(false)),
            ("rope_parameters", json!(null)),
            ("rope_scaling", json!(null)),
            ("tie_word_embeddings", json!(false)),
        ]),
        Family::Llama => fields.extend([
            ("attention_bias", json!(false)),
            ("attention_dropout", json!(0.0)),
            ("mlp_bias", json!(false)),
            ("rope_interleaved", json!(false)),
        ]),
    }
    fields
}

fn fault(field: &'static str, value: Option<&Value>, fault: &str) -> ModelError {
    ModelError::Config { field, value: value.map_or("nothing".to_owned(), Value::to_string), fault: fault.to_owned() }
}

/// A `config.json` being read.
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    /// The value, unless it is missing or null.
    fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn size(&self, field: &'static str) -> Result<usize, ModelError> {
        let value = self.get(field);
        let number = value.and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        number.ok_or_else(|| fault(field, value, "expected a whole number in config.json"))
    }

    fn size_or(&self, field: &'static str, default: usize) -> Result<usize, ModelError> {
        if self.get(field).is_some() { self.size(field) } else { Ok(default) }
    }

    fn real(&self, field: &'static str) -> Result<f64, ModelError> {
        let value = self.get(field);
        value.and_then(Value::as_f64).ok_or_else(|| fault(field, value, "expected a number in config.json"))
    }

    /// A token id, or several.
    fn ids(&self, field: &'static str) -> Result<(u32, Vec<u32>), ModelError> {
        let value = self.get(field);
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids: Option<Vec<u32>> = match value {
            Some(Value::Array(ids)) => ids.iter().map(id).collect(),
            value => value.and_then(id).map(|id| vec![id]),
        };
        let ids = ids.filter(|ids| !ids.is_empty());
        let mut ids = ids.ok_or_else(|| fault(field, value, "expected a token id in config.json"))?;
        let first = ids.remove(0);
        Ok((first, ids))
    }

    /// Base of the rotary angles and their scaling: two fields, or in `rope_parameters` since transformers 5.
    fn rope(&self) -> Result<(f64, RopeScaling), ModelError> {
        let object = |field: &'static str| {
            let value = self.get(field);
            let wrong = || fault(field, value, "expected an object");
            value.map(|value| value.as_object().ok_or_else(wrong)).transpose()
        };
        if let Some(parameters) = object("rope_parameters")? {
            let theta = parameters.get("rope_theta").and_then(Value::as_f64);
            let wrong = || fault("rope_parameters", self.get("rope_parameters"), "expected a rope_theta");
            return Ok((theta.ok_or_else(wrong)?, RopeScaling::from_json(parameters)?));
        }
        let scaling = object("rope_scaling")?.map(RopeScaling::from_json).transpose()?;
        Ok((self.real("rope_theta")?, scaling.unwrap_or_default()))
    }
}

impl DecoderConfig {
    /// `eos_token_id`: an id, or several.
    pub(crate) fn eos_ids(&self) -> Value {
        match &self.more_eos[..] {
            [] => json!(self.eos),
            more => json!([&[self.eos], more].concat()),
        }
    }

    /// `config.json`, as the family's own.
    pub fn to_json(&self) -> Value {
        let mut out = json!({
            "architectures": [self.family.architecture()],
            "model_type": self.family.model_type(),
            "vocab_size": self.vocab_size,
            "hidden_size": self.d_model,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_kv_heads,
            "intermediate_size": self.d_ff,
            "max_position_embeddings": self.max_positions,
            "rope_theta": self.rope_theta,
            "rope_scaling": self.rope_scaling.to_json(),
            "rms_norm_eps": self.norm_eps,
            "initializer_range": self.init_std,
            "hidden_act": "silu",
            "tie_word_embeddings": self.tied_embeddings,
            "use_cache": true,
            "torch_dtype": "float32",
            "bos_token_id": self.bos,
            "eos_token_id": self.eos_ids(),
            "pad_token_id": self.eos,
        });
        match self.family {
            Family::InternLm2 => out["bias"] = json!(false),
            Family::Llama => {
                out["head_dim"] = json!(self.d_head);
                out["attention_bias"] = json!(false);
                out["mlp_bias"] = json!(false);
            }
        }
        out
    }

    /// Reads `config.json`; what this program would compute differently is refused.
    ///
    /// # Errors
    /// Names the field that is missing or not supported.
    pub fn from_json(config: &Value) -> Result<Self, ModelError> {
        let Some(map) = config.as_object() else {
            return Err(fault("config.json", Some(config), "expected an object"));
        };
        let fields = Fields(map);
        let model_type = fields.get("model_type");
        let family = Family::ALL.into_iter().find(|family| model_type == Some(&json!(family.model_type())));
        let family = family.ok_or_else(|| {
            let known = Family::ALL.map(|family| format!("\"{family}\"")).join(", ");
            fault("model_type", model_type, &format!("only these are supported: {known}"))
        })?;
        let fixed = fixed(family);
        for (field, expected) in &fixed {
            let same = |found: &Value| found == expected || found.is_number() && found.as_f64() == expected.as_f64();
            if let Some(found) = fields.get(field).filter(|found| !same(found)) {
                return Err(fault(field, Some(found), &format!("only {expected} is supported")));
            }
        }
        for (field, value) in map.iter().filter(|(_, value)| !value.is_null()) {
            let field = field.as_str();
            let is_known = HARMLESS.contains(&field)
                || SIZES.contains(&field)
                || fixed.iter().any(|(name, _)| *name == field)
                || ["rope_theta", "tie_word_embeddings"].contains(&field);
            if !is_known {
                return Err(ModelError::UnknownConfig { field: field.to_owned(), value: value.to_string() });
            }
        }
        let (rope_theta, rope_scaling) = fields.rope()?;
        let ((bos, more_bos), (eos, more_eos)) = (fields.ids("bos_token_id")?, fields.ids("eos_token_id")?);
        if !more_bos.is_empty() {
            return Err(fault("bos_token_id", fields.get("bos_token_id"), "only one id is supported"));
        }
        let (d_model, n_heads) = (fields.size("hidden_size")?, fields.size("num_attention_heads")?);
        let out = Self {
            family,
            vocab_size: fields.size("vocab_size")?,
            d_model,
            n_layers: fields.size("num_hidden_layers")?,
            n_heads,
            n_kv_heads: fields.size_or("num_key_value_heads", n_heads)?,
            d_head: fields.size_or("head_dim", d_model / n_heads.max(1))?,
            d_ff: fields.size("intermediate_size")?,
            tied_embeddings: fields.get("tie_word_embeddings") == Some(&json!(true)),
            max_positions: fields.size("max_position_embeddings")?,
            rope_theta,
            rope_scaling,
            norm_eps: fields.real("rms_norm_eps")?,
            init_std: fields.real("initializer_range").unwrap_or(0.02),
            bos,
            eos,
            more_eos,
        };
        out.validate()?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::tests::tiny;
    use super::*;

    fn llama() -> DecoderConfig {
        DecoderConfig { family: Family::Llama, d_head: 6, tied_embeddings: true, ..tiny() }
    }

    #[test]
    fn json_comes_back() {
        let yarn = RopeScaling::Yarn {
            factor: 4.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            attention_factor: 1.1,
            original_max_positions: 32,
        };
        for config in [tiny(), llama(), DecoderConfig { rope_scaling: yarn, more_eos: vec![5, 7], ..llama() }] {
            assert_eq!(DecoderConfig::from_json(&config.to_json()).unwrap(), config);
        }
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let refused = |config: &DecoderConfig, field: &str, value: Value| {
            let mut json = config.to_json();
            json[field] = value;
            DecoderConfig::from_json(&json).unwrap_err().to_string()
        };
        assert!(refused(&tiny(), "tie_word_embeddings", json!(true)).contains("only false is supported"));
        assert!(refused(&tiny(), "model_type", json!("mamba")).contains("\"internlm2\", \"llama\""));
        assert!(refused(&tiny(), "rope_scaling", json!({"type": "linear", "factor": 2.0})).contains("only null"));
        let refused_rope = |value: Value| refused(&llama(), "rope_scaling", value);
        assert!(
            refused_rope(json!({"type": "dynamic", "factor": 2.0})).contains("only default, linear, llama3 and yarn")
        );
        assert!(refused_rope(json!({"type": "linear"})).contains("factor: nothing: expected a positive number"));
        assert!(refused_rope(json!({"type": "linear", "factor": 2.0, "mscale": 1.0})).contains("mscale: 1.0"));
        assert!(refused_rope(json!({"rope_type": "yarn", "factor": 2.0})).contains("original_max_position_embeddings"));
        assert!(refused(&llama(), "attention_bias", json!(true)).starts_with("attention_bias = true"));
        let message = refused(&llama(), "quantization_config", json!({"bits": 4}));
        assert!(message.starts_with("quantization_config = {\"bits\":4}"), "{message}");
        let message = refused(&llama(), "rope_parameters", json!({"rope_type": "linear", "factor": 2.0}));
        assert!(message.contains("rope_parameters"), "{message}");
        assert!(refused(&llama(), "hidden_size", json!(-1)).contains("whole number"));
        assert!(refused(&llama(), "num_attention_heads", json!(0)).starts_with("n_heads = 0"));
    }

    #[test]
    fn other_spellings_are_read() {
        let mut json = llama().to_json();
        json["rope_theta"] = json!(null);
        json["rope_parameters"] = json!({"rope_type": "default", "rope_theta": 10_000.0});
        json["eos_token_id"] = json!([2, 7]);
        json["attention_dropout"] = json!(0);
        assert_eq!(DecoderConfig::from_json(&json).unwrap(), DecoderConfig { more_eos: vec![7], ..llama() });
    }
}
