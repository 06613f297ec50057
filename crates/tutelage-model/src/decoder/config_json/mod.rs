//! Hugging Face's `config.json`. What this program would compute differently is refused, by field and value.

mod fields;
mod read;
mod write;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::config::tests::tiny;
    use super::super::{DecoderConfig, ExpertOptions, Family, Options, RopeScaling};

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
        let with = |family, options| DecoderConfig { family, options, ..tiny() };
        let experts = ExpertOptions { n_experts: 4, n_active: 2, balance: 0.02 };
        let window = Some(7);
        for config in [
            tiny(),
            llama(),
            DecoderConfig { rope_scaling: yarn, more_eos: vec![5, 7], bos: None, ..llama() },
            DecoderConfig { rope_scaling: RopeScaling::Dynamic { factor: 2.0, max_positions: 32 }, ..tiny() },
            with(Family::InternLm2, Options { reward: true, ..Options::default() }),
            with(Family::Mistral, Options::default()),
            with(Family::Mistral, Options { window, ..Options::default() }),
            with(Family::Mixtral, Options { window, experts: Some(experts), ..Options::default() }),
            with(Family::Qwen2, Options { qkv_bias: true, ..Options::default() }),
            with(Family::Qwen3, Options { head_norms: true, window, ..Options::default() }),
            with(Family::Qwen3, Options { head_norms: true, window, full_layers: vec![1], ..Options::default() }),
            with(Family::Glm, Options { d_rotary: Some(2), ..Options::default() }),
            with(Family::Glm4, Options { d_rotary: Some(4), qkv_bias: true, post_norms: true, ..Options::default() }),
        ] {
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
        assert!(refused(&tiny(), "model_type", json!("mamba")).contains("\"internlm2\", \"llama\", \"mistral\""));
        let llama3 = json!({"rope_type": "llama3", "factor": 2.0, "low_freq_factor": 1.0, "high_freq_factor": 2.0,
            "original_max_position_embeddings": 16});
        assert!(refused(&tiny(), "rope_scaling", llama3).contains("have none, linear, or dynamic"));
        let refused_rope = |value: Value| refused(&llama(), "rope_scaling", value);
        assert!(
            refused_rope(json!({"type": "longrope", "factor": 2.0}))
                .contains("only default, linear, dynamic, llama3 and")
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
