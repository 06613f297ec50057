//! Models written in other forms: families, types, shards, GGUF.

use std::path::{Path, PathBuf};

use tutelage_model::{
    Decoder, DecoderConfig, Family, GgufFile, GgufType, Options, RopeScaling, SaveOptions, StoredModel, StoredType,
};
use tutelage_run::{create_folder, hash_bytes, remove_folder};
use tutelage_tensor::{Device, Isa, Params, Precision};
use tutelage_testkit::{Fixture, assert_close};

use crate::llama::{load, logits, wide};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tutelage-convert-{name}-{}", std::process::id()));
        remove_folder(&path).unwrap();
        create_folder(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = remove_folder(&self.0);
    }
}

const IDS: [i32; 9] = [3, 17, 8, 8, 39, 21, 4, 30, 11];

#[test]
fn families_that_compute_the_same_are_written_and_come_back() {
    let source = StoredModel::open(&fixture("llama/plain")).unwrap();
    let expected = logits(&load(&fixture("llama/plain"), Precision::F32).unwrap(), &IDS);
    for family in [Family::InternLm2, Family::Llama, Family::Mistral, Family::Glm] {
        let folder = Folder::new(family.model_type());
        let config = source.config().converted(family).unwrap();
        source.save_as(&config, &folder.0, &hash_bytes(b"t"), SaveOptions::default()).unwrap();
        let model = load(&folder.0, Precision::F32).unwrap();
        assert_eq!(model.config().family, family);
        assert_eq!(logits(&model, &IDS), expected, "{family}");
        let back = model.config().converted(Family::Llama).unwrap();
        assert_eq!(back, DecoderConfig { init_std: back.init_std, ..source.config().clone() });
    }
}

#[test]
fn what_a_family_does_not_have_is_named() {
    let refused = |fixture_name: &str, family| {
        let model = StoredModel::open(&fixture(fixture_name)).unwrap();
        model.config().converted(family).unwrap_err().to_string()
    };
    assert!(refused("families/mistral", Family::Llama).starts_with("window = some"));
    assert!(refused("families/mixtral", Family::Mistral).starts_with("experts = some"));
    assert!(refused("families/qwen3", Family::Llama).starts_with("head_norms = some"));
    assert!(refused("families/glm", Family::Llama).contains("qkv_bias = some"));
    assert!(refused("llama/tied", Family::InternLm2).starts_with("tied_embeddings"));
    assert!(refused("llama/plain", Family::Qwen2).starts_with("qkv_bias = none"));
}

#[test]
fn shards_and_types_are_as_asked_and_the_same_each_time() {
    let source = StoredModel::open(&fixture("families/qwen3")).unwrap();
    let expected = logits(&load(&fixture("families/qwen3"), Precision::F32).unwrap(), &IDS);
    for (dtype, bound) in [(StoredType::F32, 1e-12), (StoredType::Bf16, 0.3), (StoredType::F16, 0.03)] {
        let folders = [Folder::new("shards-a"), Folder::new("shards-b")];
        let options = SaveOptions { dtype, max_shard_bytes: 3000 };
        for folder in &folders {
            source.save_as(source.config(), &folder.0, &hash_bytes(b"t"), options).unwrap();
        }
        let mut files: Vec<_> = std::fs::read_dir(&folders[0].0).unwrap().map(|e| e.unwrap().file_name()).collect();
        files.sort();
        assert!(files.len() > 6 && !folders[0].0.join("model.safetensors").exists());
        for file in files {
            let read = |folder: &Folder| std::fs::read(folder.0.join(&file)).unwrap();
            assert!(read(&folders[0]) == read(&folders[1]), "{} differs", file.display());
        }
        assert_close(dtype.name(), &logits(&load(&folders[0].0, Precision::F32).unwrap(), &IDS), &expected, bound, 0.0);
        // A shard that was changed is noticed.
        let files = std::fs::read_dir(&folders[0].0).unwrap().map(|e| e.unwrap().path());
        let shard = files.filter(|path| path.extension().is_some_and(|e| e == "safetensors")).min().unwrap();
        let mut bytes = std::fs::read(&shard).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&shard, bytes).unwrap();
        assert!(load(&folders[0].0, Precision::F32).unwrap_err().contains("its hash is not"));
    }
}

#[test]
fn a_number_beyond_f16_is_named() {
    let device = Device::cpu(1, Isa::detect()).unwrap();
    let mut model = load(&fixture("llama/plain"), Precision::F32).unwrap();
    let head = model.head();
    model.params_mut().values_mut(head)[5] = 1e5;
    let (folder, out) = (Folder::new("range"), Folder::new("range-out"));
    model.save(&folder.0, &hash_bytes(b"t")).unwrap();
    let stored = StoredModel::open(&folder.0).unwrap();
    let options = SaveOptions { dtype: StoredType::F16, ..SaveOptions::default() };
    let message = stored.save_as(stored.config(), &out.0, &hash_bytes(b"t"), options).unwrap_err().to_string();
    assert!(message.contains("'lm_head.weight' holds 1e5, beyond the range of f16"), "{message}");
    let message = stored.write_gguf(&out.0.join("a.gguf"), GgufType::F16, Vec::new()).unwrap_err().to_string();
    assert!(message.contains("'output.weight' holds 1e5"), "{message}");
    assert_eq!(std::fs::read_dir(&out.0).unwrap().count(), 0, "half a file is left");
    drop(device);
}

#[test]
fn a_reward_model_keeps_its_head() {
    let plain = StoredModel::open(&fixture("llama/plain")).unwrap().config().converted(Family::InternLm2).unwrap();
    let config = DecoderConfig { options: Options { reward: true, ..Options::default() }, ..plain };
    let device = Device::cpu(2, Isa::detect()).unwrap();
    let model = Decoder::random(config, &device, Precision::F32, 3).unwrap();
    let folder = Folder::new("reward");
    model.save(&folder.0, &hash_bytes(b"t")).unwrap();
    let written = Fixture::open(folder.0.join("model.safetensors"));
    assert_eq!(written.get("v_head.weight").0, [1, 16]);
    assert!(!written.names().contains(&"output.weight".to_owned()));
    let read = load(&folder.0, Precision::F32).unwrap();
    let rewards = logits(&read, &IDS);
    assert_eq!((rewards.len(), &rewards), (IDS.len(), &logits(&model, &IDS)));
    // By hand: the product of the last hidden states with the one row.
    let mut cache = read.new_cache(16);
    let hidden = wide(&read.continue_hidden(&IDS, &mut cache).to_vec());
    let row = written.get("v_head.weight").1;
    let by_hand: Vec<f64> = hidden.chunks(16).map(|h| h.iter().zip(&row).map(|(a, b)| a * b).sum()).collect();
    assert_close("rewards", &rewards, &by_hand, 1e-6, 1e-5);
}

#[test]
fn gguf_files_come_back() {
    let device = Device::cpu(2, Isa::detect()).unwrap();
    for name in ["llama/plain", "llama/tied", "llama/linear", "families/qwen2", "families/qwen3"] {
        let source = StoredModel::open(&fixture(name)).unwrap();
        let expected = logits(&load(&fixture(name), Precision::F32).unwrap(), &IDS);
        for kind in GgufType::ALL {
            let folder = Folder::new("gguf");
            let path = folder.0.join("a.gguf");
            let ids = ["bos", "eos"].map(|id| format!("tokenizer.ggml.{id}_token_id"));
            let metadata = ids.into_iter().zip([1, 2]).map(|(key, id)| (key, tutelage_model::Value::Integer(id)));
            source.write_gguf(&path, kind, metadata.collect()).unwrap();
            let read = StoredModel::from_gguf(GgufFile::open(&path).unwrap()).unwrap();
            let model = read.decoder(Params::frozen(&device, Precision::F32)).unwrap();
            // Rows of 16 or 24 numbers are no blocks of Q8_0, so f16 is written for it.
            let bound = match kind {
                GgufType::F32 => 1e-12,
                GgufType::F16 | GgufType::Q8_0 => 0.05,
                GgufType::Bf16 => 0.4,
            };
            assert_close(&format!("{name} {}", kind.name()), &logits(&model, &IDS), &expected, bound, 0.0);
        }
    }
    let mistral = StoredModel::open(&fixture("families/mistral")).unwrap();
    let message = mistral.write_gguf(Path::new("/nowhere/a.gguf"), GgufType::F16, Vec::new()).unwrap_err().to_string();
    assert!(message.contains("have none, which is the architecture that GGUF files are written in"), "{message}");
}

/// Written to GGUF and read, a random model of this configuration is the same one.
fn comes_back(name: &str, config: &DecoderConfig) -> DecoderConfig {
    let device = Device::cpu(2, Isa::detect()).unwrap();
    let model = Decoder::random(config.clone(), &device, Precision::F32, 5).unwrap();
    let folder = Folder::new(name);
    model.save(&folder.0, &hash_bytes(b"t")).unwrap();
    let path = folder.0.join("a.gguf");
    let eos = ("tokenizer.ggml.eos_token_id", tutelage_model::Value::Integer(2));
    StoredModel::open(&folder.0).unwrap().write_gguf(&path, GgufType::F32, vec![(eos.0.to_owned(), eos.1)]).unwrap();
    let read = StoredModel::from_gguf(GgufFile::open(&path).unwrap()).unwrap();
    let again = read.decoder(Params::frozen(&device, Precision::F32)).unwrap();
    assert_close(name, &logits(&again, &IDS), &logits(&model, &IDS), 1e-12, 0.0);
    read.config().clone()
}

#[test]
fn experts_and_scalings_come_back_from_gguf() {
    let plain = StoredModel::open(&fixture("llama/plain")).unwrap().config().clone();
    let mixtral = StoredModel::open(&fixture("families/mixtral")).unwrap().config().clone();
    let without_window = Options { window: None, ..mixtral.options.clone() };
    let mixtral = DecoderConfig { options: without_window, bos: None, ..mixtral };
    let read = comes_back("gguf-mixtral", &mixtral);
    assert_eq!((read.family, &read.options.experts.unwrap().n_experts), (Family::Mixtral, &4));

    let long = DecoderConfig { d_head: 64, max_positions: 131_072, rope_theta: 5e5, bos: None, ..plain };
    let llama3 = |low_freq_factor| RopeScaling::Llama3 {
        factor: 32.0,
        low_freq_factor,
        high_freq_factor: 4.0,
        original_max_positions: 8192,
    };
    for rope_scaling in [
        llama3(1.0),
        RopeScaling::Yarn {
            factor: 4.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            attention_factor: 0.1 * 4f64.ln() + 1.0,
            original_max_positions: 32_768,
        },
    ] {
        let config = DecoderConfig { rope_scaling, ..long.clone() };
        assert_eq!(comes_back("gguf-scaling", &config).rope_scaling, config.rope_scaling);
    }
    // What no published configuration has is written, and not known again.
    let device = Device::cpu(1, Isa::detect()).unwrap();
    let odd = DecoderConfig { rope_scaling: llama3(2.0), ..long };
    let folder = Folder::new("gguf-odd");
    Decoder::random(odd, &device, Precision::F32, 5).unwrap().save(&folder.0, &hash_bytes(b"t")).unwrap();
    let path = folder.0.join("a.gguf");
    let eos = ("tokenizer.ggml.eos_token_id".to_owned(), tutelage_model::Value::Integer(2));
    StoredModel::open(&folder.0).unwrap().write_gguf(&path, GgufType::F32, vec![eos]).unwrap();
    let message = StoredModel::from_gguf(GgufFile::open(&path).unwrap()).err().unwrap().to_string();
    assert!(message.contains("'rope_freqs.weight' divides frequencies otherwise"), "{message}");
}

/// A model whose one matrix of whole blocks is the fixture's, written in Q8_0 and read.
#[test]
fn q8_0_is_what_the_gguf_package_makes() {
    let expected = Fixture::open(fixture("gguf/q8_0.safetensors"));
    let plain = StoredModel::open(&fixture("llama/plain")).unwrap().config().clone();
    let config = DecoderConfig { vocab_size: 3, d_model: 96, n_heads: 1, n_kv_heads: 1, d_head: 4, d_ff: 2, ..plain };
    let device = Device::cpu(1, Isa::detect()).unwrap();
    let mut model = Decoder::random(config, &device, Precision::F32, 1).unwrap();
    let head = model.head();
    let source: Vec<f32> = expected.get("source").1.iter().map(|&x| x as f32).collect();
    model.params_mut().values_mut(head).copy_from_slice(&source);
    let folder = Folder::new("q8");
    model.save(&folder.0, &hash_bytes(b"t")).unwrap();
    let path = folder.0.join("a.gguf");
    StoredModel::open(&folder.0).unwrap().write_gguf(&path, GgufType::Q8_0, Vec::new()).unwrap();
    let file = GgufFile::open(&path).unwrap();
    let kind = file.tensors().find(|(name, ..)| *name == "output.weight").map(|(.., kind)| kind);
    assert_eq!(kind, Some("Q8_0"));
    assert_eq!(wide(&file.take("output.weight", &[3, 96]).unwrap()), expected.get("values").1);
}
