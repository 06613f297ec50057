//! Llama folders written by transformers (`fixtures/llama/make.py`): logits, loss, every gradient; and back.

use std::path::{Path, PathBuf};

use tutelage_model::{Decoder, Input};
use tutelage_run::{create_folder, hash_bytes, remove_folder};
use tutelage_tensor::{Device, Grads, Isa, Precision, Tape};
use tutelage_testkit::{Fixture, assert_close};

use crate::support::{CrossEntropy, as_stored};

const KINDS: [&str; 5] = ["plain", "tied", "linear", "llama3", "yarn"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/llama")
}

fn fixture(kind: &str) -> Fixture {
    Fixture::open(fixtures().join(format!("{kind}.safetensors")))
}

pub(crate) fn load(folder: &Path, precision: Precision) -> Result<Decoder, String> {
    let device = Device::cpu(2, Isa::detect()).unwrap();
    Decoder::load(folder, &device, precision).map_err(|error| {
        assert!(error.is_request(), "{error}");
        error.to_string()
    })
}

pub(crate) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

pub(crate) fn logits(model: &Decoder, ids: &[i32]) -> Vec<f64> {
    let positions: Vec<i32> = (0..ids.len() as i32).collect();
    let (mut tape, document) = (Tape::inference(model.params()), 0..ids.len());
    let input = Input { ids, positions: &positions, documents: std::slice::from_ref(&document) };
    let hidden = model.hidden(&mut tape, input).value().clone();
    wide(&model.logits(hidden).to_vec())
}

#[test]
fn logits_agree_with_transformers() {
    for kind in KINDS {
        let (fixture, model) = (fixture(kind), load(&fixtures().join(kind), Precision::F32).unwrap());
        let ids = fixture.ints("ids");
        assert_close(kind, &logits(&model, &ids), &fixture.get("logits").1, 2e-5, 2e-5);
    }
}

#[test]
fn gradients_agree_with_transformers() {
    for kind in KINDS {
        let (fixture, model) = (fixture(kind), load(&fixtures().join(kind), Precision::F32).unwrap());
        let ids = fixture.ints("ids");
        let positions: Vec<i32> = (0..ids.len() as i32).collect();
        let mut grads = Grads::zeros(model.params());
        let (mut tape, document) = (Tape::training(model.params()), 0..ids.len());
        let input = Input { ids: &ids, positions: &positions, documents: std::slice::from_ref(&document) };
        let hidden = model.hidden(&mut tape, input);
        let objective = CrossEntropy(fixture.ints("labels"));
        let (loss, _) = tape.linear_loss_backward(&hidden, model.head(), None, &objective, &mut grads);
        assert_close(kind, &loss, &fixture.get("loss").1, 1e-5, 1e-5);
        let found = as_stored(model, &|id, n| grads.to_vec(id, n));
        for name in found.names() {
            let (found, expected) = (found.get(&name).1, fixture.get(&format!("grad.{name}")).1);
            assert_close(&format!("{kind} {name}"), &found, &expected, 2e-6, 1e-4);
        }
    }
}

#[test]
fn what_is_written_has_the_familys_names() {
    for kind in KINDS {
        let model = load(&fixtures().join(kind), Precision::F32).unwrap();
        let folder = std::env::temp_dir().join(format!("tutelage-llama-{kind}-{}", std::process::id()));
        remove_folder(&folder).unwrap();
        create_folder(&folder).unwrap();
        model.save(&folder, &hash_bytes(b"tokenizer")).unwrap();
        let written = Fixture::open(folder.join("model.safetensors"));
        let names = written.names();
        let expected: Vec<String> =
            fixture(kind).names().into_iter().filter_map(|name| Some(name.strip_prefix("grad.")?.to_owned())).collect();
        assert_eq!(names, expected, "{kind}");
        let read = load(&folder, Precision::F32).unwrap();
        assert_eq!(read.config(), model.config());
        for ((_, a), (_, b)) in model.params().iter().zip(read.params().iter()) {
            assert_eq!((a.name(), a.shape(), a.values()), (b.name(), b.shape(), b.values()));
        }
        remove_folder(&folder).unwrap();
    }
}

#[test]
fn a_frozen_tied_model_says_the_same() {
    let (folder, device) = (fixtures().join("tied"), Device::cpu(2, Isa::detect()).unwrap());
    let ids = fixture("tied").ints("ids");
    let frozen = Decoder::load_frozen(&folder, &device, Precision::Bf16).unwrap();
    assert_eq!(logits(&frozen, &ids), logits(&load(&folder, Precision::Bf16).unwrap(), &ids));
}

/// A copy of a fixture's folder, changed.
fn changed(name: &str, kind: &str, change: impl FnOnce(&Path)) -> Result<Decoder, String> {
    let folder = std::env::temp_dir().join(format!("tutelage-llama-{name}-{}", std::process::id()));
    remove_folder(&folder).unwrap();
    create_folder(&folder).unwrap();
    for entry in std::fs::read_dir(fixtures().join(kind)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    change(&folder);
    let result = load(&folder, Precision::F32);
    remove_folder(&folder).unwrap();
    result
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} is not in {}", path.display());
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn wrong_folders_are_refused_by_name() {
    let refused = |name: &str, kind: &str, change: &dyn Fn(&Path), expected: &str| {
        let message = changed(name, kind, change).unwrap_err();
        assert!(message.contains(expected), "{name}: {message}");
    };
    let (config, index) = ("config.json", "model.safetensors.index.json");
    let second = "model-00002-of-00003.safetensors";
    let replace = |file: &'static str, from: &'static str, to: &'static str| {
        move |folder: &Path| edit(&folder.join(file), from, to)
    };
    refused("outside", "plain", &replace(index, second, "../other.safetensors"), "outside the folder: '../other");
    let no_files = |folder: &Path| std::fs::write(folder.join(index), "{\"weight_map\": {}}").unwrap();
    refused("no-files", "plain", &no_files, "names no files");
    refused("missing", "plain", &|folder| std::fs::remove_file(folder.join(second)).unwrap(), second);
    refused(
        "short",
        "plain",
        &|folder| {
            let bytes = std::fs::read(folder.join(second)).unwrap();
            std::fs::write(folder.join(second), &bytes[..bytes.len() / 2]).unwrap();
        },
        "truncated or damaged",
    );
    refused(
        "nan",
        "tied",
        &|folder| {
            let path = folder.join("model.safetensors");
            let mut bytes = std::fs::read(&path).unwrap();
            let n = bytes.len();
            bytes[n - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
            std::fs::write(&path, bytes).unwrap();
        },
        "holds NaN at element",
    );
    refused("extra", "plain", &replace(config, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1"), "no place for");
    refused("absent", "plain", &replace(config, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"), "no array");
    refused("shape", "plain", &replace(config, "\"vocab_size\": 40", "\"vocab_size\": 41"), "[41, 16] is expected");
    refused(
        "untied",
        "tied",
        &replace(config, "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false"),
        "lm_head",
    );
    refused("field", "plain", &replace(config, "\"use_cache\"", "\"sliding_window\""), "sliding_window = true");
    refused(
        "scaling",
        "plain",
        &replace(config, "\"rope_type\": \"default\"", "\"rope_type\": \"longrope\""),
        "only default, linear, dynamic, llama3 and yarn",
    );
    refused("family", "plain", &replace(config, "\"llama\"", "\"mamba\""), "model_type = \"mamba\"");
}
