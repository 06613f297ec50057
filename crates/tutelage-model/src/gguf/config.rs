//! Sizes out of the metadata of a GGUF file.

use super::rope::rope_scaling;
use super::{GgufFile, Value};
use crate::{DecoderConfig, ExpertOptions, Family, ModelError, Options};

/// Families that are llama.cpp's architectures, and which need nothing more.
pub(super) const FAMILIES: [Family; 4] = [Family::Llama, Family::Mixtral, Family::Qwen2, Family::Qwen3];

/// llama.cpp's name of a family's architecture.
pub(super) fn architecture(family: Family) -> &'static str {
    match family {
        // A Llama with `expert_count`.
        Family::Mixtral => "llama",
        other => other.model_type(),
    }
}

/// The tensor of what each frequency is divided by.
pub(crate) const ROPE_FACTORS: &str = "rope_freqs.weight";

/// Keys of the architecture that are read, or change nothing that is computed.
const KEYS: [&str; 17] = [
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.layer_norm_rms_epsilon",
    "attention.value_length",
    "block_count",
    "context_length",
    "embedding_length",
    "expert_count",
    "expert_used_count",
    "feed_forward_length",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.type",
    "vocab_size",
];

/// Sizes out of the metadata.
///
/// # Errors
/// When the architecture is not supported.
pub(crate) fn config(file: &GgufFile) -> Result<DecoderConfig, ModelError> {
    let fault = |key: &str, fault: &str| file.unsupported(key, fault);
    let architecture = match file.value("general.architecture") {
        Some(Value::Text(name)) => name.as_str(),
        _ => "",
    };
    let family = match architecture {
        "llama" if !matches!(file.value("llama.expert_count"), None | Some(Value::Integer(0))) => Family::Mixtral,
        "llama" => Family::Llama,
        "qwen2" => Family::Qwen2,
        "qwen3" => Family::Qwen3,
        _ => {
            let known = "only these are supported: \"llama\", \"qwen2\", \"qwen3\"";
            return Err(fault("general.architecture", known));
        }
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
    let rope_theta = real("rope.freq_base")?.unwrap_or(10_000.0);
    let experts = match family {
        Family::Mixtral => {
            let (n_experts, n_active) = (size("expert_count")?, size("expert_used_count")?);
            // What transformers has where `config.json` says nothing.
            Some(ExpertOptions { n_experts, n_active, balance: 0.001 })
        }
        _ => None,
    };
    let embeddings = file.tensors().find(|(name, ..)| *name == "token_embd.weight").map(|(_, shape, _)| shape);
    let config = DecoderConfig {
        family,
        vocab_size: embeddings.and_then(|shape| shape.first().copied()).unwrap_or(size("vocab_size")?),
        d_model,
        n_layers: size("block_count")?,
        n_heads,
        n_kv_heads: size_or("attention.head_count_kv", n_heads)?,
        d_head,
        d_ff: size("feed_forward_length")?,
        options: Options {
            qkv_bias: family == Family::Qwen2,
            head_norms: family == Family::Qwen3,
            experts,
            ..Options::default()
        },
        tied_embeddings: !file.has("output.weight"),
        max_positions: size("context_length")?,
        rope_theta,
        rope_scaling: rope_scaling(file, &prefix, d_head, rope_theta)?,
        norm_eps: real("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-5),
        init_std: 0.02,
        bos: optional("tokenizer.ggml.bos_token_id")?.and_then(|id| u32::try_from(id).ok()),
        eos: id("tokenizer.ggml.eos_token_id")?,
        more_eos: Vec::new(),
    };
    config.validate()?;
    Ok(config)
}
