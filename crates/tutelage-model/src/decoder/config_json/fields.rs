//! Fields of a `config.json`: which there may be, and their types.

use serde_json::{Map, Value, json};

use super::super::{Family, RopeScaling};
use crate::ModelError;

/// Fields that change nothing that is computed here, or are read beside.
const HARMLESS: [&str; 25] = [
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
    "output_router_logits",
    "pad_token_id",
    // Slices that are summed: the same sums.
    "pretraining_tp",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "torch_dtype",
    "transformers_version",
    "use_cache",
    "vocab_size",
];

/// Sizes, read by name.
const SIZES: [&str; 6] =
    ["head_dim", "hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "num_key_value_heads"];

/// Fields of a family that are read.
fn read(family: Family) -> &'static [&'static str] {
    match family {
        Family::InternLm2 => &[],
        Family::Llama => &["tie_word_embeddings"],
        Family::Mistral => &["tie_word_embeddings", "sliding_window"],
        Family::Mixtral => &[
            "tie_word_embeddings",
            "sliding_window",
            "num_local_experts",
            "num_experts_per_tok",
            "router_aux_loss_coef",
        ],
        Family::Qwen2 | Family::Qwen3 => {
            &["tie_word_embeddings", "use_sliding_window", "sliding_window", "max_window_layers", "layer_types"]
        }
        Family::Glm | Family::Glm4 => &["tie_word_embeddings", "attention_bias", "partial_rotary_factor"],
    }
}

/// Fields that are supported at one value alone, which is also the one they have where they are missing or null.
fn fixed(family: Family) -> Vec<(&'static str, Value)> {
    let mut fields = vec![("hidden_act", json!("silu"))];
    if family != Family::InternLm2 {
        fields.push(("attention_dropout", json!(0.0)));
    }
    match family {
        Family::InternLm2 => fields.extend([("bias", json!(false)), ("tie_word_embeddings", json!(false))]),
        Family::Llama => fields.extend([
            ("attention_bias", json!(false)),
            ("mlp_bias", json!(false)),
            ("rope_interleaved", json!(false)),
        ]),
        Family::Mixtral => fields.push(("router_jitter_noise", json!(0.0))),
        Family::Qwen3 => fields.push(("attention_bias", json!(false))),
        Family::Mistral | Family::Qwen2 | Family::Glm | Family::Glm4 => {}
    }
    fields
}

pub(super) fn fault(field: &'static str, value: Option<&Value>, fault: &str) -> ModelError {
    ModelError::Config { field, value: value.map_or("nothing".to_owned(), Value::to_string), fault: fault.to_owned() }
}

/// The name of a field, and the object that it holds.
type RopeObject<'a> = (&'static str, Option<&'a Map<String, Value>>);

/// A `config.json` being read.
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl Fields<'_> {
    /// The value, unless it is missing or null.
    pub(super) fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn family(&self) -> Result<Family, ModelError> {
        let model_type = self.get("model_type");
        let family = Family::ALL.into_iter().find(|family| model_type == Some(&json!(family.model_type())));
        family.ok_or_else(|| {
            let known = Family::ALL.map(|family| format!("\"{family}\"")).join(", ");
            fault("model_type", model_type, &format!("only these are supported: {known}"))
        })
    }

    /// Refuses fields that are not known for the family, and values that are not supported.
    pub(super) fn check(&self, family: Family) -> Result<(), ModelError> {
        let fixed = fixed(family);
        for (field, expected) in &fixed {
            let same = |found: &Value| found == expected || found.is_number() && found.as_f64() == expected.as_f64();
            if let Some(found) = self.get(field).filter(|found| !same(found)) {
                return Err(fault(field, Some(found), &format!("only {expected} is supported")));
            }
        }
        for (field, value) in self.0.iter().filter(|(_, value)| !value.is_null()) {
            let field = field.as_str();
            let is_known = HARMLESS.contains(&field)
                || SIZES.contains(&field)
                || read(family).contains(&field)
                || fixed.iter().any(|(name, _)| *name == field);
            if !is_known {
                return Err(ModelError::UnknownConfig { field: field.to_owned(), value: value.to_string() });
            }
        }
        Ok(())
    }

    pub(super) fn size(&self, field: &'static str) -> Result<usize, ModelError> {
        let value = self.get(field);
        let number = value.and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        number.ok_or_else(|| fault(field, value, "expected a whole number in config.json"))
    }

    pub(super) fn size_or(&self, field: &'static str, default: usize) -> Result<usize, ModelError> {
        if self.get(field).is_some() { self.size(field) } else { Ok(default) }
    }

    pub(super) fn real(&self, field: &'static str) -> Result<f64, ModelError> {
        let value = self.get(field);
        value.and_then(Value::as_f64).ok_or_else(|| fault(field, value, "expected a number in config.json"))
    }

    pub(super) fn real_or(&self, field: &'static str, default: f64) -> Result<f64, ModelError> {
        if self.get(field).is_some() { self.real(field) } else { Ok(default) }
    }

    pub(super) fn flag_or(&self, field: &'static str, default: bool) -> Result<bool, ModelError> {
        match self.get(field) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| fault(field, Some(value), "expected true or false")),
        }
    }

    /// A token id, or several, or none.
    pub(super) fn ids(&self, field: &'static str) -> Result<Vec<u32>, ModelError> {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids: Option<Vec<u32>> = match self.get(field) {
            None => Some(Vec::new()),
            Some(Value::Array(ids)) => ids.iter().map(id).collect(),
            Some(value) => id(value).map(|id| vec![id]),
        };
        ids.ok_or_else(|| fault(field, self.get(field), "expected a token id, or several, in config.json"))
    }

    /// Where the angles are described: two fields, or `rope_parameters` since transformers 5.
    fn rope_object(&self) -> Result<RopeObject<'_>, ModelError> {
        let field = if self.get("rope_parameters").is_some() { "rope_parameters" } else { "rope_scaling" };
        let value = self.get(field);
        let wrong = || fault(field, value, "expected an object");
        Ok((field, value.map(|value| value.as_object().ok_or_else(wrong)).transpose()?))
    }

    /// Base of the rotary angles and their scaling.
    pub(super) fn rope(&self, family: Family, max_positions: usize) -> Result<(f64, RopeScaling), ModelError> {
        let (field, object) = self.rope_object()?;
        let scaling = object.map(|object| RopeScaling::from_json(object, max_positions)).transpose()?;
        let theta = match object.filter(|_| field == "rope_parameters") {
            Some(parameters) => {
                let theta = parameters.get("rope_theta").and_then(Value::as_f64);
                theta.ok_or_else(|| fault(field, self.get(field), "expected a rope_theta"))?
            }
            None => self.real_or("rope_theta", family.default_rope_theta())?,
        };
        Ok((theta, scaling.unwrap_or_default()))
    }

    /// Columns of a head that are rotated.
    pub(super) fn d_rotary(&self, family: Family, d_head: usize) -> Result<Option<usize>, ModelError> {
        let (field, object) = self.rope_object()?;
        let inner = object.and_then(|object| object.get("partial_rotary_factor"));
        if !family.rotates_pairs() {
            let wrong = || Err(fault(field, self.get(field), "partial_rotary_factor is not supported in this family"));
            return if inner.is_some() { wrong() } else { Ok(None) };
        }
        let outer = self.get("partial_rotary_factor");
        let factor = match inner.or(outer) {
            None => 0.5,
            Some(value) => value
                .as_f64()
                .filter(|x| *x > 0.0 && *x <= 1.0)
                .ok_or_else(|| fault("partial_rotary_factor", Some(value), "expected a number from 0 to 1"))?,
        };
        Ok(Some((d_head as f64 * factor) as usize))
    }
}
