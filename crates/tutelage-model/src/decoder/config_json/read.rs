//! Reading.

use serde_json::{Value, json};

use super::super::{DecoderConfig, ExpertOptions, Family, Options};
use super::fields::{Fields, fault};
use crate::ModelError;

impl DecoderConfig {
    /// Reads `config.json`; what this program would compute differently is refused.
    ///
    /// # Errors
    /// Names the field that is missing or not supported.
    pub fn from_json(config: &Value) -> Result<Self, ModelError> {
        let Some(map) = config.as_object() else {
            return Err(fault("config.json", Some(config), "expected an object"));
        };
        let fields = Fields(map);
        let family = fields.family()?;
        fields.check(family)?;
        let max_positions = fields.size("max_position_embeddings")?;
        let (rope_theta, rope_scaling) = fields.rope(family, max_positions)?;
        let (bos, mut more_eos) = (fields.ids("bos_token_id")?, fields.ids("eos_token_id")?);
        if bos.len() > 1 {
            return Err(fault("bos_token_id", fields.get("bos_token_id"), "only one id is supported"));
        }
        if more_eos.is_empty() {
            return Err(fault("eos_token_id", None, "expected a token id, or several, in config.json"));
        }
        let eos = more_eos.remove(0);
        let (d_model, n_heads) = (fields.size("hidden_size")?, fields.size("num_attention_heads")?);
        let d_head = fields.size_or("head_dim", default_d_head(family, d_model, n_heads))?;
        let out = Self {
            family,
            vocab_size: fields.size("vocab_size")?,
            d_model,
            n_layers: fields.size("num_hidden_layers")?,
            n_heads,
            n_kv_heads: fields.size_or("num_key_value_heads", n_heads)?,
            d_head,
            d_ff: fields.size("intermediate_size")?,
            tied_embeddings: fields.flag_or("tie_word_embeddings", false)?,
            options: options(&fields, family, d_head)?,
            max_positions,
            rope_theta,
            rope_scaling,
            norm_eps: fields.real("rms_norm_eps")?,
            init_std: fields.real_or("initializer_range", 0.02)?,
            bos: bos.first().copied(),
            eos,
            more_eos,
        };
        out.validate()?;
        Ok(out)
    }
}

/// Size of a head where `config.json` has none, as in transformers.
fn default_d_head(family: Family, d_model: usize, n_heads: usize) -> usize {
    match family {
        Family::Qwen3 | Family::Glm | Family::Glm4 => 128,
        _ => d_model / n_heads.max(1),
    }
}

fn options(fields: &Fields<'_>, family: Family, d_head: usize) -> Result<Options, ModelError> {
    let is_glm = family.rotates_pairs();
    let experts = match family {
        Family::Mixtral => Some(ExpertOptions {
            n_experts: fields.size("num_local_experts")?,
            n_active: fields.size("num_experts_per_tok")?,
            balance: fields.real_or("router_aux_loss_coef", 0.001)?,
        }),
        _ => None,
    };
    let reward = fields.get("architectures").and_then(|names| names.get(0)) == Some(&json!(family.architecture(true)));
    let (window, full_layers) = window(fields, family)?;
    Ok(Options {
        qkv_bias: family == Family::Qwen2 || is_glm && fields.flag_or("attention_bias", true)?,
        head_norms: family == Family::Qwen3,
        post_norms: family == Family::Glm4,
        d_rotary: fields.d_rotary(family, d_head)?,
        window,
        full_layers,
        experts,
        reward: reward && family == Family::InternLm2,
    })
}

/// Keys that a query sees, and the layers in which it sees all.
fn window(fields: &Fields<'_>, family: Family) -> Result<(Option<usize>, Vec<usize>), ModelError> {
    let size = |default| {
        let is_null = fields.0.get("sliding_window").is_some_and(Value::is_null);
        match (is_null, fields.get("sliding_window"), default) {
            (true, ..) | (_, None, None) => Ok(None),
            (_, None, Some(default)) => Ok(Some(default)),
            (_, Some(_), _) => fields.size("sliding_window").map(Some),
        }
    };
    match family {
        // Where the field is missing, transformers has these.
        Family::Mistral => Ok((size(Some(4096))?, Vec::new())),
        Family::Mixtral => Ok((size(None)?, Vec::new())),
        Family::Qwen2 | Family::Qwen3 if fields.flag_or("use_sliding_window", false)? => {
            let full = full_layers(fields)?;
            let none_slides = full.len() == fields.size("num_hidden_layers")?;
            Ok(match size(Some(4096))? {
                Some(window) if !none_slides => (Some(window), full),
                _ => (None, Vec::new()),
            })
        }
        _ => Ok((None, Vec::new())),
    }
}

/// Layers without a window, by `layer_types`, or those before `max_window_layers`.
fn full_layers(fields: &Fields<'_>) -> Result<Vec<usize>, ModelError> {
    let n_layers = fields.size("num_hidden_layers")?;
    let Some(types) = fields.get("layer_types") else {
        return Ok((0..fields.size_or("max_window_layers", 28)?.min(n_layers)).collect());
    };
    let wrong =
        || fault("layer_types", Some(types), "expected \"full_attention\" or \"sliding_attention\" of each layer");
    let types = types.as_array().filter(|types| types.len() == n_layers).ok_or_else(wrong)?;
    let mut full = Vec::new();
    for (layer, kind) in types.iter().enumerate() {
        match kind.as_str() {
            Some("full_attention") => full.push(layer),
            Some("sliding_attention") => {}
            _ => return Err(wrong()),
        }
    }
    Ok(full)
}
