//! A decoder out of a GGUF file: sizes from the metadata, weights under llama.cpp's names.
//!
//! llama.cpp rotates neighbouring pairs where the Llama family rotates halves of a head, so its files hold rows of
//! queries and keys in another order, which is undone here.

use tutelage_tensor::Params;

use super::{GgufFile, Value};
use crate::{Decoder, DecoderConfig, Family, ModelError, RopeScaling};

/// Keys of the architecture that are read, or change nothing that is computed.
const KEYS: [&str; 12] = [
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.layer_norm_rms_epsilon",
    "attention.value_length",
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "rope.dimension_count",
    "rope.freq_base",
    "vocab_size",
];

impl Decoder {
    /// The model of a GGUF file, its weights dequantised into `params`.
    ///
    /// # Errors
    /// When its architecture is not known, or weights do not fit the metadata.
    pub fn from_gguf(file: &GgufFile, params: Params) -> Result<Self, ModelError> {
        let config = config(file)?;
        let (d_head, d_model) = (config.d_head, config.d_model);
        let mut taken = Vec::new();
        let model = Self::from_stored(config, params, |name, shape| {
            let stored = tensor_name(name);
            let values = file.take(&stored, shape);
            taken.push(stored);
            let is_rotated = ["q_proj.weight", "k_proj.weight"].iter().any(|end| name.ends_with(end));
            if is_rotated { values.map(|values| halves(&values, d_head, d_model)) } else { values }
        })?;
        match file.tensors().find(|(name, ..)| !taken.iter().any(|taken| taken == name)) {
            None => Ok(model),
            Some((name, shape, _)) => Err(ModelError::Weights {
                path: file.path().to_path_buf(),
                fault: format!("holds '{name}' of shape {shape:?}, which this kind of model has no place for"),
            }),
        }
    }
}

fn config(file: &GgufFile) -> Result<DecoderConfig, ModelError> {
    let fault = |key: &str, fault: &str| file.unsupported(key, fault);
    let architecture = match file.value("general.architecture") {
        Some(Value::Text(name)) if name == "llama" => name.as_str(),
        _ => return Err(fault("general.architecture", "only \"llama\" is supported")),
    };
    let prefix = format!("{architecture}.");
    for (key, _) in file.metadata() {
        if key.strip_prefix(&prefix).is_some_and(|key| !KEYS.contains(&key)) {
            return Err(fault(key, "is not supported; it may change what the model computes"));
        }
    }
    let optional = |key: &str| match file.value(key) {
        None => Ok(None),
        Some(Value::Integer(n)) => {
            usize::try_from(*n).map(Some).map_err(|_| fault(key, "expected a whole number that is not negative"))
        }
        Some(_) => Err(fault(key, "expected a whole number")),
    };
    let size = |key: &str| {
        let key = format!("{prefix}{key}");
        optional(&key)?.ok_or_else(|| fault(&key, "expected a whole number"))
    };
    let size_or = |key: &str, default: usize| optional(&format!("{prefix}{key}")).map(|size| size.unwrap_or(default));
    let real = |key: &str| match file.value(&format!("{prefix}{key}")) {
        Some(Value::Real(x)) => Ok(Some(*x)),
        None => Ok(None),
        Some(_) => Err(fault(&format!("{prefix}{key}"), "expected a number")),
    };
    let id = |key: &str| {
        let id = optional(key)?.and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| fault(key, "expected a token id"))
    };
    let (d_model, n_heads) = (size("embedding_length")?, size("attention.head_count")?);
    let d_head = size_or("attention.key_length", d_model / n_heads.max(1))?;
    for key in ["attention.value_length", "rope.dimension_count"] {
        if size_or(key, d_head)? != d_head {
            return Err(fault(&format!("{prefix}{key}"), &format!("only the size of a head, {d_head}, is supported")));
        }
    }
    let embeddings = file.tensors().find(|(name, ..)| *name == "token_embd.weight").map(|(_, shape, _)| shape);
    let config = DecoderConfig {
        family: Family::Llama,
        vocab_size: embeddings.and_then(|shape| shape.first().copied()).unwrap_or(size("vocab_size")?),
        d_model,
        n_layers: size("block_count")?,
        n_heads,
        n_kv_heads: size_or("attention.head_count_kv", n_heads)?,
        d_head,
        d_ff: size("feed_forward_length")?,
        tied_embeddings: !file.has("output.weight"),
        max_positions: size("context_length")?,
        rope_theta: real("rope.freq_base")?.unwrap_or(10_000.0),
        rope_scaling: RopeScaling::None,
        norm_eps: real("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-5),
        init_std: 0.02,
        bos: id("tokenizer.ggml.bos_token_id")?,
        eos: id("tokenizer.ggml.eos_token_id")?,
        more_eos: Vec::new(),
    };
    config.validate()?;
    Ok(config)
}

/// llama.cpp's name of a weight of the Llama family.
fn tensor_name(name: &str) -> String {
    let Some((layer, part)) = name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')) else {
        return match name {
            "model.embed_tokens.weight" => "token_embd.weight",
            "model.norm.weight" => "output_norm.weight",
            "lm_head.weight" => "output.weight",
            other => other,
        }
        .to_owned();
    };
    let part = match part.strip_suffix(".weight").unwrap_or(part) {
        "input_layernorm" => "attn_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "post_attention_layernorm" => "ffn_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        other => other,
    };
    format!("blk.{layer}.{part}.weight")
}

/// Rows in pairs `(2 i, 2 i + 1)` of a head to rows `i` and `i + d_head / 2`.
fn halves(rows: &[f32], d_head: usize, d_model: usize) -> Vec<f32> {
    let row = |i: usize| {
        let (head, i) = (i / d_head, i % d_head);
        head * d_head + i % (d_head / 2) * 2 + i / (d_head / 2)
    };
    (0..rows.len() / d_model).flat_map(|i| &rows[row(i) * d_model..][..d_model]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_halves() {
        // Two heads of four rows of one value.
        let rows = [0.0, 2.0, 1.0, 3.0, 10.0, 12.0, 11.0, 13.0];
        assert_eq!(halves(&rows, 4, 1), [0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0]);
    }
}
