//! PEFT's `adapter_config.json`.

use serde_json::{Value, json};

use super::attach::sites;
use crate::{DecoderConfig, ModelError};

/// What is adapted, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraConfig {
    /// Rank of an adapter.
    pub rank: usize,
    /// Divided by the rank (or its root) it is the scale of what is added.
    pub alpha: f64,
    /// Whether the root of the rank divides (2312.03732).
    pub rank_stabilised: bool,
    /// Last parts of the modules' names, in the family's own layout: `q_proj`, `down_proj` ...
    pub targets: Vec<String>,
    /// Where the model that is adapted came from.
    pub base: Option<String>,
}

/// Fields that change nothing that is computed here, or are read.
const KNOWN: [&str; 15] = [
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "init_lora_weights",
    "lora_alpha",
    // It is off in inference, and in training here.
    "lora_dropout",
    "megatron_core",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "revision",
    "target_modules",
    "task_type",
    "use_rslora",
];

/// Whether a field that is not known says nothing.
fn is_off(field: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => field == "bias" && text == "none",
        _ => false,
    }
}

impl LoraConfig {
    /// What `B A x` is multiplied by.
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rank_stabilised { rank.sqrt() } else { rank }
    }

    /// Reads `adapter_config.json`; what this program would compute differently is refused.
    ///
    /// # Errors
    /// Names the field that is missing or not supported.
    pub fn from_json(config: &Value) -> Result<Self, ModelError> {
        let fault = |field, fault: &str| {
            let value = config.get(field).map_or("nothing".to_owned(), Value::to_string);
            Err(ModelError::Config { field, value, fault: fault.to_owned() })
        };
        let Some(map) = config.as_object() else {
            return Err(ModelError::Config {
                field: "adapter_config.json",
                value: config.to_string(),
                fault: "expected an object".to_owned(),
            });
        };
        if config["peft_type"] != "LORA" {
            return fault("peft_type", "only \"LORA\" is supported");
        }
        if let Some((field, value)) =
            map.iter().find(|(field, value)| !KNOWN.contains(&field.as_str()) && !is_off(field, value))
        {
            return Err(ModelError::UnknownConfig { field: field.clone(), value: value.to_string() });
        }
        let Some(rank) = config["r"].as_u64().and_then(|rank| usize::try_from(rank).ok()) else {
            return fault("r", "expected a whole number");
        };
        let Some(alpha) = config["lora_alpha"].as_f64() else {
            return fault("lora_alpha", "expected a number");
        };
        let targets: Option<Vec<String>> = config["target_modules"]
            .as_array()
            .and_then(|names| names.iter().map(|name| name.as_str().map(str::to_owned)).collect());
        let Some(mut targets) = targets else {
            return fault("target_modules", "expected names of modules, in a list");
        };
        targets.sort();
        let out = Self {
            rank,
            alpha,
            rank_stabilised: config["use_rslora"] == true,
            targets,
            base: config["base_model_name_or_path"].as_str().map(str::to_owned),
        };
        out.validate()?;
        Ok(out)
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// Names what is outside.
    pub fn validate(&self) -> Result<(), ModelError> {
        let fault =
            |field, value: String, fault: &str| Err(ModelError::Config { field, value, fault: fault.to_owned() });
        if !(1..=1 << 16).contains(&self.rank) {
            return fault("r", self.rank.to_string(), "expected a rank of at least 1");
        }
        if !self.alpha.is_finite() {
            return fault("lora_alpha", self.alpha.to_string(), "expected a number");
        }
        if self.targets.is_empty() {
            return fault("target_modules", "[]".to_owned(), "expected names of modules, in a list");
        }
        Ok(())
    }

    /// Weights of the adapters of a model.
    ///
    /// # Errors
    /// When a target is no module of the family, or cannot be adapted.
    pub fn n_weights(&self, model: &DecoderConfig) -> Result<u64, ModelError> {
        let sites = sites(model, self)?;
        Ok(sites.iter().map(|site| (self.rank * site.shape.iter().sum::<usize>()) as u64).sum())
    }

    /// `adapter_config.json`.
    pub fn to_json(&self) -> Value {
        json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": self.base,
            "r": self.rank,
            "lora_alpha": self.alpha,
            "use_rslora": self.rank_stabilised,
            "target_modules": self.targets,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_supported_is_named() {
        let good = LoraConfig {
            rank: 4,
            alpha: 8.0,
            rank_stabilised: true,
            targets: vec!["q_proj".to_owned()],
            base: Some("somewhere".to_owned()),
        };
        assert_eq!(LoraConfig::from_json(&good.to_json()).unwrap(), good);
        assert!((good.scale() - 4.0).abs() < 1e-12);
        let refused = |field: &str, value: Value| {
            let mut json = good.to_json();
            json[field] = value;
            LoraConfig::from_json(&json).unwrap_err().to_string()
        };
        assert!(refused("use_dora", json!(true)).starts_with("use_dora = true"));
        assert!(refused("bias", json!("all")).starts_with("bias = \"all\""));
        assert!(refused("modules_to_save", json!(["lm_head"])).contains("lm_head"));
        assert!(refused("rank_pattern", json!({"q_proj": 2})).contains("rank_pattern"));
        assert!(refused("target_modules", json!("all-linear")).contains("in a list"));
        assert!(refused("r", json!(0)).starts_with("r = 0"));
        assert!(refused("peft_type", json!("PROMPT_TUNING")).contains("only \"LORA\""));
    }
}
