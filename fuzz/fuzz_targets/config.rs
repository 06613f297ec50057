//! `config.json` and `adapter_config.json`: any JSON is read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tutelage_model::{DecoderConfig, LoraConfig};

fuzz_target!(|bytes: &[u8]| {
    let Ok(json) = serde_json::from_slice(bytes) else { return };
    if let Ok(config) = DecoderConfig::from_json(&json) {
        assert_eq!(DecoderConfig::from_json(&config.to_json()).ok(), Some(config.clone()));
        let _ = (config.n_weights(), config.training_flops(4096), config.inference_bytes());
    }
    let _ = LoraConfig::from_json(&json);
});
