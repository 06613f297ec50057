//! Families of decoders: names of their weights.

use std::fmt;

/// An architecture as its publishers name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// InternLM2 (2403.17297): queries, keys and values in one matrix, interleaved by key-value head.
    InternLm2,
    /// Llama 2 and 3 (2307.09288, 2407.21783).
    Llama,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 2] = [Family::InternLm2, Family::Llama];

    /// As its publishers spell it.
    pub fn title(self) -> &'static str {
        match self {
            Family::InternLm2 => "InternLM2",
            Family::Llama => "Llama",
        }
    }

    /// `model_type` in `config.json`.
    pub fn model_type(self) -> &'static str {
        match self {
            Family::InternLm2 => "internlm2",
            Family::Llama => "llama",
        }
    }

    /// The class that `config.json` names.
    pub(crate) fn architecture(self) -> &'static str {
        match self {
            Family::InternLm2 => "InternLM2ForCausalLM",
            Family::Llama => "LlamaForCausalLM",
        }
    }

    /// Where the family's files keep the weight that this program calls `name`.
    pub(crate) fn stored(self, name: &str) -> Stored {
        match self {
            Family::InternLm2 => Stored::Whole(name.to_owned()),
            Family::Llama => llama(name),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.model_type())
    }
}

/// How a weight is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stored {
    /// As it is, under this name.
    Whole(String),
    /// Queries, keys and values apart.
    Parts([String; 3]),
}

/// Our names are InternLM2's: `model.layers.I.PART.weight` and three outside the layers.
fn llama(name: &str) -> Stored {
    let whole = |name: &str| Stored::Whole(name.to_owned());
    let Some((layer, part)) = name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')) else {
        return match name {
            "model.tok_embeddings.weight" => whole("model.embed_tokens.weight"),
            "output.weight" => whole("lm_head.weight"),
            _ => whole(name),
        };
    };
    let named = |part: &str| format!("model.layers.{layer}.{part}.weight");
    let part = part.strip_suffix(".weight").unwrap_or(part);
    Stored::Whole(named(match part {
        "attention.wqkv" => return Stored::Parts(["q", "k", "v"].map(|x| named(&format!("self_attn.{x}_proj")))),
        "attention_norm" => "input_layernorm",
        "attention.wo" => "self_attn.o_proj",
        "ffn_norm" => "post_attention_layernorm",
        "feed_forward.w1" => "mlp.gate_proj",
        "feed_forward.w3" => "mlp.up_proj",
        "feed_forward.w2" => "mlp.down_proj",
        other => other,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_family() {
        let whole = |name: &str| match Family::Llama.stored(name) {
            Stored::Whole(name) => name,
            Stored::Parts(names) => names.join(" "),
        };
        assert_eq!(whole("model.tok_embeddings.weight"), "model.embed_tokens.weight");
        assert_eq!(whole("model.norm.weight"), "model.norm.weight");
        assert_eq!(whole("model.layers.12.feed_forward.w3.weight"), "model.layers.12.mlp.up_proj.weight");
        assert_eq!(
            whole("model.layers.0.attention.wqkv.weight"),
            "model.layers.0.self_attn.q_proj.weight model.layers.0.self_attn.k_proj.weight \
             model.layers.0.self_attn.v_proj.weight"
        );
    }
}
