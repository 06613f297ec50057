//! LoRA beside PEFT (`fixtures/lora/make.py`): logits with adapters beside the weights and merged into them, gradients,
//! folders in and out.

use std::path::{Path, PathBuf};

use tutelage_model::{Decoder, Input, LoraConfig, StoredModel};
use tutelage_run::{create_folder, remove_folder};
use tutelage_tensor::{Device, Grads, Isa, Params, Precision, Tape};
use tutelage_testkit::{Fixture, assert_close};

use crate::llama::{logits, wide};
use crate::support::CrossEntropy;

const KINDS: [(&str, &str); 3] = [("plain", "llama/plain"), ("qwen3", "families/qwen3"), ("glm4", "families/glm4")];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn device() -> Device {
    Device::cpu(2, Isa::detect()).unwrap()
}

fn base(name: &str) -> StoredModel {
    StoredModel::open(&path(name)).unwrap()
}

fn adapted(kind: &str, of: &str, precision: Precision) -> Decoder {
    base(of).with_adapters(&device(), precision, &path("lora").join(kind)).unwrap()
}

#[test]
fn logits_agree_with_peft_beside_and_merged() {
    for (kind, of) in KINDS {
        let fixture = Fixture::open(path("lora").join(format!("{kind}.safetensors")));
        let (ids, expected) = (fixture.ints("ids"), fixture.get("logits").1);
        assert_close(kind, &logits(&adapted(kind, of, Precision::F32), &ids), &expected, 3e-5, 3e-5);
        let merged = base(of).merged(&path("lora").join(kind)).unwrap();
        let merged = merged.decoder(Params::frozen(&device(), Precision::F32)).unwrap();
        assert_close(&format!("{kind}, merged"), &logits(&merged, &ids), &expected, 5e-5, 5e-5);
    }
}

fn gradients(model: &Decoder, fixture: &Fixture) -> (Vec<f64>, Grads) {
    let ids = fixture.ints("ids");
    let positions: Vec<i32> = (0..ids.len() as i32).collect();
    let document = 0..ids.len();
    let (mut grads, mut tape) = (Grads::zeros(model.params()), Tape::training(model.params()));
    let input = Input { ids: &ids, positions: &positions, documents: std::slice::from_ref(&document) };
    let hidden = model.hidden(&mut tape, input);
    let objective = CrossEntropy(fixture.ints("labels"));
    let (loss, _) = tape.linear_loss_backward(&hidden, model.head(), None, &objective, &mut grads);
    (loss, grads)
}

#[test]
fn gradients_agree_with_peft() {
    for (kind, of) in KINDS {
        let fixture = Fixture::open(path("lora").join(format!("{kind}.safetensors")));
        for precision in [Precision::F32, Precision::Bf16] {
            let model = adapted(kind, of, precision);
            let (loss, grads) = gradients(&model, &fixture);
            let exact = precision == Precision::F32;
            let bound = if exact { 1e-5 } else { 0.03 };
            assert_close(kind, &loss, &fixture.get("loss").1, bound, bound);
            let mut n = 0;
            for (id, param) in model.params().learned() {
                let expected = fixture.get(&format!("grad.base_model.model.{}", param.name())).1;
                let found = wide(grads.get(id));
                let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
                let off =
                    norm(&mut found.iter().zip(&expected).map(|(a, b)| a - b)) / norm(&mut expected.iter().copied());
                assert!(off < if exact { 2e-5 } else { 0.1 }, "{kind} {}: off by {off:.2e} of its norm", param.name());
                n += 1;
            }
            let expected = fixture.names().iter().filter(|name| name.starts_with("grad.")).count();
            assert_eq!(n, expected, "{kind}: adapters");
        }
    }
}

#[test]
fn folders_come_back() {
    for (kind, of) in KINDS {
        let folder = std::env::temp_dir().join(format!("tutelage-lora-{kind}-{}", std::process::id()));
        create_folder(&folder).unwrap();
        let model = adapted(kind, of, Precision::F32);
        model.save_adapters(&folder).unwrap();
        let read = base(of).with_adapters(&device(), Precision::F32, &folder).unwrap();
        for ((_, a), (_, b)) in model.params().iter().zip(read.params().iter()) {
            assert_eq!((a.name(), a.values()), (b.name(), b.values()));
        }
        let theirs = Fixture::open(path("lora").join(kind).join("adapter_model.safetensors")).names();
        assert_eq!(Fixture::open(folder.join("adapter_model.safetensors")).names(), theirs, "{kind}");
        remove_folder(&folder).unwrap();
    }
}

#[test]
fn new_adapters_add_nothing_at_first() {
    let config = LoraConfig {
        rank: 2,
        alpha: 4.0,
        rank_stabilised: false,
        targets: ["wqkv", "w1", "wo"].map(str::to_owned).to_vec(),
        base: None,
    };
    let folder = std::env::temp_dir().join(format!("tutelage-lora-new-{}", std::process::id()));
    create_folder(&folder).unwrap();
    let plain = base("llama/plain");
    let internlm2 = plain.config().converted(tutelage_model::Family::InternLm2).unwrap();
    plain.save_as(&internlm2, &folder, &tutelage_run::hash_bytes(b"t"), Default::default()).unwrap();
    let stored = StoredModel::open(&folder).unwrap();
    let ids = [3, 17, 8, 39];
    let whole = stored.decoder(Params::new(&device(), Precision::F32)).unwrap();
    let model = stored.adapted(&device(), Precision::F32, config.clone(), 5).unwrap();
    assert_eq!(logits(&model, &ids), logits(&whole, &ids));
    assert_eq!(model.params().learned().count(), 2 * 2 * 3);
    assert!(
        model.save(&folder, &tutelage_run::hash_bytes(b"t")).unwrap_err().to_string().contains("write the adapters")
    );
    let refused = |targets: &[&str]| {
        let targets = targets.iter().map(|t| (*t).to_owned()).collect();
        let config = LoraConfig { targets, ..config.clone() };
        stored.adapted(&device(), Precision::F32, config, 5).unwrap_err().to_string()
    };
    assert!(refused(&["q_proj"]).contains("have no module of this name"));
    assert!(refused(&["output"]).contains("are not adapted"));
    remove_folder(&folder).unwrap();
    // Adapters of another model.
    let other = base("families/qwen2").with_adapters(&device(), Precision::F32, &path("lora/plain"));
    assert!(other.is_ok(), "the sizes are the same");
    let other =
        base("families/glm").with_adapters(&device(), Precision::F32, &path("lora/plain")).unwrap_err().to_string();
    assert!(other.contains("have no module of this name"), "{other}");
    let other =
        base("families/qwen3").with_adapters(&device(), Precision::F32, &path("lora/plain")).unwrap_err().to_string();
    assert!(other.contains("is expected"), "{other}");
}
