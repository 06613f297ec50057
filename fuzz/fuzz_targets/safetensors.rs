//! Safetensors files, alone and behind an index: any bytes are read or refused. The first byte chooses.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tutelage_model::StoredModel;
use tutelage_tensor::{Device, Isa, Params, Precision};

static DEVICE: LazyLock<Device> = LazyLock::new(|| Device::cpu(1, Isa::detect()).unwrap());
const CONFIG: &str = r#"{"model_type": "llama", "vocab_size": 4, "hidden_size": 4, "num_hidden_layers": 1,
    "num_attention_heads": 1, "intermediate_size": 4, "max_position_embeddings": 8, "rms_norm_eps": 1e-5,
    "bos_token_id": 1, "eos_token_id": 2}"#;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let folder = std::env::temp_dir().join(format!("tutelage-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.json"), CONFIG).unwrap();
    let (single, index) = (folder.join("model.safetensors"), folder.join("model.safetensors.index.json"));
    let _ = (std::fs::remove_file(&single), std::fs::remove_file(&index));
    std::fs::write(if choice % 2 == 0 { &single } else { &index }, bytes).unwrap();
    if let Ok(model) = StoredModel::open(&folder) {
        let _ = model.decoder(Params::new(&DEVICE, Precision::F32));
    }
});
