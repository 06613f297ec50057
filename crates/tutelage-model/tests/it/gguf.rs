//! GGUF: every type's values beside the gguf package's (`fixtures/gguf/make.py`), and the real SmolLM2-135M-Instruct.

use std::path::{Path, PathBuf};

use tutelage_model::{GgufFile, Input, StoredModel, Value};
use tutelage_tensor::{Device, Isa, Params, Precision, Tape};
use tutelage_testkit::{Fixture, assert_close, smollm2};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/gguf")
}

#[test]
fn values_are_those_of_the_gguf_package() {
    let file = GgufFile::open(&fixtures().join("quants.gguf")).unwrap();
    let expected = Fixture::open(fixtures().join("quants.safetensors"));
    assert_eq!(file.value("general.architecture"), Some(&Value::Text("none".to_owned())));
    assert_eq!(file.tensors().count(), 13);
    for name in expected.names() {
        let (shape, values) = expected.get(&name);
        let found: Vec<f64> = file.take(&name, &shape).unwrap().into_iter().map(f64::from).collect();
        assert_eq!(found, values, "{name}");
    }
}

/// Opening a changed copy fails with this message, or its tensors are read without a fault of the program.
fn opened(name: &str, bytes: &[u8]) -> Result<(), String> {
    let path = std::env::temp_dir().join(format!("tutelage-gguf-{name}-{}", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    let result = GgufFile::open(&path)
        .and_then(|file| file.tensors().try_for_each(|(name, shape, _)| file.take(name, shape).map(|_| ())));
    std::fs::remove_file(&path).unwrap();
    result.map_err(|error| error.to_string())
}

#[test]
fn damaged_files_are_refused() {
    let whole = std::fs::read(fixtures().join("quants.gguf")).unwrap();
    let changed = |at: usize, with: &[u8]| {
        let mut bytes = whole.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    };
    let refused = |name: &str, bytes: &[u8], expected: &str| {
        let message = opened(name, bytes).unwrap_err();
        assert!(message.contains(expected), "{name}: {message}");
    };
    assert_eq!(opened("whole", &whole), Ok(()));
    refused("empty", &[], "no GGUF file");
    refused("magic", &changed(0, b"GGML"), "no GGUF file");
    refused("version", &changed(4, &[9]), "version 9");
    refused("tensors", &changed(8, &u64::MAX.to_le_bytes()), "announced");
    refused("values", &changed(16, &u64::MAX.to_le_bytes()), "announced");
    refused("key", &changed(24, &u64::MAX.to_le_bytes()), "announced");
    refused("short", &whole[..whole.len() - 200], "beyond the end of the file");
    let name = whole.windows(4).position(|window| window == b"Q4_0").unwrap();
    // After the name: dimensions, two sizes, type, offset.
    refused("dimensions", &changed(name + 4, &9u32.to_le_bytes()), "9 dimensions");
    refused("ragged", &changed(name + 8, &33u64.to_le_bytes()), "no whole blocks");
    refused("absurd", &changed(name + 16, &(u64::MAX / 2).to_le_bytes()), "too large");
    refused("type", &changed(name + 24, &99u32.to_le_bytes()), "tensor 'Q4_0': type 99");
    refused("offset", &changed(name + 28, &7u64.to_le_bytes()), "no multiple of 32");
    refused("overlap", &changed(name + 28, &0u64.to_le_bytes()), "overlap");
    // One array of more bytes than any vocabulary.
    let mut large = b"GGUF\x03\0\0\0".to_vec();
    let n = 9_000_000u64;
    for part in [&0u64.to_le_bytes()[..], &1u64.to_le_bytes(), &1u64.to_le_bytes(), b"k", &9u32.to_le_bytes()] {
        large.extend(part);
    }
    large.extend(0u32.to_le_bytes().into_iter().chain(n.to_le_bytes()));
    large.resize(large.len() + n as usize, 0);
    refused("large", &large, "more than 8388608 values");
    // Every truncation of the header, and every byte of it set to the largest: refused or read, never worse.
    for end in 0..1200 {
        let _ = opened("cut", &whole[..end]);
    }
    for at in 0..1200 {
        let _ = opened("bent", &changed(at, &[255]));
    }
}

/// `fixtures/gguf/smollm2.py`: transformers on the same weights.
#[test]
fn a_real_model_says_what_transformers_says() {
    let Some(path) = smollm2() else { return };
    let fixture = Fixture::open(fixtures().join("smollm2.safetensors"));
    let device = Device::cpu(2, Isa::detect()).unwrap();
    let file = GgufFile::open(&path).unwrap();
    let model = StoredModel::from_gguf(file).unwrap().decoder(Params::frozen(&device, Precision::F32)).unwrap();
    assert_eq!(model.config().n_weights(), 134_515_008);
    let (ids, rows) = (fixture.ints("ids"), fixture.ints("rows"));
    let positions: Vec<i32> = (0..ids.len() as i32).collect();
    let (mut tape, document) = (Tape::inference(model.params()), 0..ids.len());
    let input = Input { ids: &ids, positions: &positions, documents: std::slice::from_ref(&document) };
    let hidden = model.hidden(&mut tape, input).value().clone();
    let logits = model.logits(hidden).to_vec();
    let v = model.config().vocab_size;
    let row = |row: usize| &logits[row * v..][..v];
    let some: Vec<f64> = rows.iter().flat_map(|&r| row(r as usize).iter().step_by(97)).map(|&x| f64::from(x)).collect();
    assert_close("logits", &some, &fixture.get("logits").1, 2e-3, 1e-4);
    let nats = |t: usize| {
        let lse = row(t).iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
        lse - f64::from(row(t)[ids[t + 1] as usize])
    };
    let loss = (0..ids.len() - 1).map(nats).sum::<f64>() / (ids.len() - 1) as f64;
    assert_close("loss", &[loss], &fixture.get("loss").1, 0.0, 1e-5);

    // Greedy, over a cache.
    let mut cache = model.new_cache(64);
    let mut hidden = model.continue_hidden(&ids, &mut cache);
    for (i, expected) in fixture.ints("reply").into_iter().enumerate() {
        let logits = model.logits(hidden).to_vec();
        let last = &logits[logits.len() - v..];
        let best = (0..v).max_by(|&a, &b| last[a].total_cmp(&last[b])).unwrap();
        assert_eq!(best as i32, expected, "token {i} of the reply");
        hidden = model.continue_hidden(&[expected], &mut cache);
    }
}
