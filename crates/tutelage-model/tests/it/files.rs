//! Folders that come back, and folders that are refused.

use std::path::PathBuf;

use tutelage_model::{Decoder, DecoderConfig, Family, Options, RopeScaling};
use tutelage_run::{create_folder, hash_bytes, remove_folder};
use tutelage_tensor::{Device, Isa, Precision};

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("tutelage-model-{name}-{}", std::process::id()));
    remove_folder(&path).unwrap();
    create_folder(&path).unwrap();
    path
}

fn saved(name: &str) -> (Decoder, PathBuf) {
    let config = DecoderConfig {
        family: Family::InternLm2,
        vocab_size: 30,
        d_model: 8,
        n_layers: 1,
        n_heads: 2,
        n_kv_heads: 1,
        d_head: 4,
        d_ff: 12,
        tied_embeddings: false,
        options: Options::default(),
        max_positions: 16,
        rope_theta: 1e4,
        rope_scaling: RopeScaling::None,
        norm_eps: 1e-5,
        init_std: 0.02,
        bos: Some(1),
        eos: 2,
        more_eos: Vec::new(),
    };
    let device = Device::cpu(1, Isa::detect()).unwrap();
    let model = Decoder::random(config, &device, Precision::F32, 5).unwrap();
    let folder = folder(name);
    model.save(&folder, &hash_bytes(b"tokenizer")).unwrap();
    (model, folder)
}

fn load(folder: &std::path::Path) -> Result<Decoder, String> {
    let device = Device::cpu(1, Isa::detect()).unwrap();
    Decoder::load(folder, &device, Precision::F32).map_err(|error| {
        assert!(error.is_request());
        error.to_string()
    })
}

#[test]
fn what_was_saved_is_loaded() {
    let (model, folder) = saved("whole");
    let read = load(&folder).unwrap();
    assert_eq!(read.config(), model.config());
    for ((_, a), (_, b)) in model.params().iter().zip(read.params().iter()) {
        assert_eq!((a.name(), a.shape(), a.values()), (b.name(), b.shape(), b.values()));
    }
    remove_folder(&folder).unwrap();
}

#[test]
fn seeds_decide_first_values() {
    let (model, folder) = saved("seed");
    let device = Device::cpu(1, Isa::detect()).unwrap();
    let values = |seed| {
        let model = Decoder::random(model.config().clone(), &device, Precision::F32, seed).unwrap();
        model.params().get(model.head()).values().to_vec()
    };
    assert_eq!(values(5), model.params().get(model.head()).values());
    assert_ne!(values(6), values(5));
    let std = (values(5).iter().map(|x| x * x).sum::<f32>() / values(5).len() as f32).sqrt();
    assert!((std - 0.02).abs() < 0.004, "{std}");
    remove_folder(&folder).unwrap();
}

#[test]
fn damage_is_refused() {
    let (_, folder) = saved("damage");
    let weights = folder.join("model.safetensors");
    let good = std::fs::read(&weights).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for bad in [&flipped[..], &good[..good.len() - 5], b"", b"not a file of this kind"] {
        std::fs::write(&weights, bad).unwrap();
        assert!(load(&folder).unwrap_err().contains("damaged"));
        // Without our manifest the format's own checks are left.
        let manifest = std::fs::read(folder.join("tutelage.json")).unwrap();
        std::fs::remove_file(folder.join("tutelage.json")).unwrap();
        assert_eq!(load(&folder).is_ok(), bad == &flipped[..]);
        std::fs::write(folder.join("tutelage.json"), manifest).unwrap();
    }
    std::fs::write(&weights, &good).unwrap();
    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    std::fs::write(
        folder.join("config.json"),
        config.replace("\"intermediate_size\": 12", "\"intermediate_size\": 16"),
    )
    .unwrap();
    assert!(load(&folder).unwrap_err().contains("has shape [12, 8] where [16, 8] is expected"));
    std::fs::write(folder.join("config.json"), "{").unwrap();
    assert!(load(&folder).unwrap_err().contains("config.json"));
    remove_folder(&folder).unwrap();
    assert!(load(&folder).unwrap_err().contains("cannot read"));
}

#[test]
fn headers_that_lie_are_refused_by_file_and_array() {
    let (_, folder) = saved("lies");
    std::fs::remove_file(folder.join("tutelage.json")).unwrap();
    let weights = folder.join("model.safetensors");
    let good = std::fs::read(&weights).unwrap();
    let (len, rest) = good.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*len) as usize);
    let name = "model.norm.weight";
    let refused = |lie: &dyn Fn(&mut serde_json::Value)| {
        let mut header: serde_json::Value = serde_json::from_slice(header).unwrap();
        lie(&mut header);
        let header = serde_json::to_vec(&header).unwrap();
        let file = [&(header.len() as u64).to_le_bytes()[..], &header, data].concat();
        std::fs::write(&weights, file).unwrap();
        let message = load(&folder).unwrap_err();
        assert!(message.contains("model.safetensors"), "{message}");
        message
    };
    let shape = |shape: serde_json::Value| move |header: &mut serde_json::Value| header[name]["shape"] = shape.clone();
    let end = |by: i64| {
        move |header: &mut serde_json::Value| {
            let end = header[name]["data_offsets"][1].as_i64().unwrap();
            header[name]["data_offsets"][1] = (end + by).into();
        }
    };
    for (what, message) in [
        ("more than its bytes", refused(&shape(serde_json::json!([4096])))),
        ("more than any file", refused(&shape(serde_json::json!([u64::MAX, 2])))),
        ("fewer bytes", refused(&end(-4))),
        ("beyond the end", refused(&end(1 << 40))),
        ("backwards", refused(&end(-(1 << 20)))),
        ("another type", refused(&|header| header[name]["dtype"] = "I64".into())),
        ("no type", refused(&|header| header[name]["dtype"] = "F99".into())),
    ] {
        assert!(message.contains(name) || message.contains("F99") || message.contains("deserial"), "{what}: {message}");
    }
    let overlap = refused(&|header| {
        let first = header["model.layers.0.ffn_norm.weight"].clone();
        header[name] = first;
    });
    assert!(overlap.contains("model."), "{overlap}");
    // A header longer than any file.
    std::fs::write(&weights, [&u64::MAX.to_le_bytes()[..], b"{}"].concat()).unwrap();
    assert!(load(&folder).unwrap_err().contains("header too large"));
    remove_folder(&folder).unwrap();
}

#[test]
fn a_frozen_model_computes_the_same_bits() {
    let (model, folder) = saved("frozen");
    let device = Device::cpu(2, Isa::detect()).unwrap();
    let ids = [3, 7, 1, 29];
    let logits = |model: &Decoder| {
        let mut cache = model.new_cache(8);
        let hidden = model.continue_hidden(&ids, &mut cache);
        model.logits(hidden).to_vec()
    };
    for precision in [Precision::F32, Precision::Bf16] {
        let whole = Decoder::load(&folder, &device, precision).unwrap();
        let frozen = Decoder::load_frozen(&folder, &device, precision).unwrap();
        assert_eq!(frozen.params().n_weights(), model.params().n_weights());
        assert_eq!(logits(&frozen), logits(&whole));
    }
    remove_folder(&folder).unwrap();
}
