//! Writing.

use serde_json::{Value, json};

use super::super::{DecoderConfig, Family};

impl DecoderConfig {
    /// `eos_token_id`: an id, or several.
    pub(crate) fn eos_ids(&self) -> Value {
        match &self.more_eos[..] {
            [] => json!(self.eos),
            more => [&[self.eos], more].concat().into(),
        }
    }

    /// `config.json`, as the family's own; the weights beside it are f32.
    pub fn to_json(&self) -> Value {
        let mut out = json!({
            "architectures": [self.family.architecture(self.options.reward)],
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
        let mut set = |field: &str, value: Value| out[field] = value;
        if self.family != Family::InternLm2 {
            set("head_dim", json!(self.d_head));
        }
        let options = &self.options;
        match self.family {
            Family::InternLm2 => set("bias", json!(false)),
            Family::Llama => {
                set("attention_bias", json!(false));
                set("mlp_bias", json!(false));
            }
            Family::Mistral | Family::Mixtral => set("sliding_window", json!(options.window)),
            Family::Qwen2 | Family::Qwen3 => {
                set("use_sliding_window", json!(options.window.is_some()));
                set("sliding_window", json!(options.window));
                // The first layer with a window, and which layers have one.
                let slides = |layer: &usize| options.window_of(*layer).is_some();
                set("max_window_layers", json!((0..self.n_layers).find(slides).unwrap_or(self.n_layers)));
                let name = |layer| if slides(&layer) { "sliding_attention" } else { "full_attention" };
                set("layer_types", (0..self.n_layers).map(name).collect());
            }
            Family::Glm | Family::Glm4 => {
                let d_rotary = options.d_rotary.unwrap_or(self.d_head);
                set("partial_rotary_factor", json!(d_rotary as f64 / self.d_head as f64));
                set("attention_bias", json!(options.qkv_bias));
            }
        }
        if let Some(experts) = &options.experts {
            set("num_local_experts", json!(experts.n_experts));
            set("num_experts_per_tok", json!(experts.n_active));
            set("router_aux_loss_coef", json!(experts.balance));
        }
        out
    }
}
