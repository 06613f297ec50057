//! GGUF files: any bytes are read or refused, and so are the tensors and the model in them.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tutelage_model::{GgufFile, StoredModel};
use tutelage_tensor::{Device, Isa, Params, Precision};

static DEVICE: LazyLock<Device> = LazyLock::new(|| Device::cpu(1, Isa::detect()).unwrap());

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("tutelage-fuzz-{}.gguf", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    if let Ok(file) = GgufFile::open(&path) {
        let tensors: Vec<_> = file.tensors().map(|(name, shape, _)| (name.to_owned(), shape.to_vec())).collect();
        for (name, shape) in tensors {
            let _ = file.take(&name, &shape);
        }
        if let Ok(model) = StoredModel::from_gguf(file) {
            if model.config().n_weights() < 1 << 20 {
                let _ = model.decoder(Params::frozen(&DEVICE, Precision::F32));
            }
        }
    }
});
