//! Ten steps of AdamW beside PyTorch's, for every family (`tutelage-model/fixtures/families/make.py`).

use std::path::Path;

use tutelage_data::{Batch, IGNORED};
use tutelage_loss::{Schedule, Shape};
use tutelage_model::{Decoder, LoraConfig, StoredModel};
use tutelage_run::{create_folder, hash_bytes, remove_folder};
use tutelage_tensor::{Device, Isa, Params, Precision};
use tutelage_testkit::{Fixture, assert_close};
use tutelage_train::{Learner, TrainConfig};

const KINDS: [&str; 9] =
    ["mistral", "mixtral", "qwen2", "qwen2-mixed", "qwen3", "qwen3-window", "glm", "glm4", "dynamic"];

#[test]
fn ten_steps_agree_with_pytorch() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tutelage-model/fixtures/families");
    let device = Device::cpu(2, Isa::detect()).unwrap();
    let config = TrainConfig {
        steps: 10,
        lr: Schedule { peak: 0.01, warmup_steps: 0, shape: Shape::Constant },
        grad_clip: 0.0,
        ..crate::config()
    };
    for kind in KINDS {
        let fixture = Fixture::open(fixtures.join(format!("{kind}.safetensors")));
        let mut learner = Learner::new(Decoder::load(&fixtures.join(kind), &device, Precision::F32).unwrap(), &config);
        let ids = fixture.ints("ids");
        let labels = fixture.ints("labels").into_iter().map(|label| label.max(IGNORED)).collect();
        let n = ids.len();
        let (positions, rows) = ((0..n as i32).collect(), 0..n);
        let batch =
            Batch { ids, labels, positions, documents: vec![rows.clone()], routes: vec![], sequences: vec![(0, rows)] };
        let losses: Vec<f64> = (0..10)
            .map(|step| {
                let outcome = learner.step(std::slice::from_ref(&batch), &config, step, None).unwrap();
                assert_eq!(outcome.balance.is_some(), kind == "mixtral");
                outcome.losses.loss
            })
            .collect();
        assert_close(&format!("{kind} losses"), &losses, &fixture.get("losses").1, 2e-4, 2e-4);
        let folder = std::env::temp_dir().join(format!("tutelage-ten-{kind}-{}", std::process::id()));
        create_folder(&folder).unwrap();
        learner.into_model().save(&folder, &hash_bytes(b"t")).unwrap();
        let stored = Fixture::open(folder.join("model.safetensors"));
        // A bias of keys that are not rotated has no gradient but rounding errors, which Adam makes steps of.
        for name in stored.names().iter().filter(|name| !name.ends_with("k_proj.bias")) {
            let expected = fixture.get(&format!("stepped.{name}")).1;
            // Adam divides a gradient by its size: where that is near zero, a rounding error becomes a step.
            let found = stored.get(name).1;
            let off = found.iter().zip(&expected).filter(|(a, b)| (*a - *b).abs() > 2e-4).count();
            assert!(off * 100 <= found.len(), "{kind} {name}: {off} of {} weights differ after ten steps", found.len());
        }
        remove_folder(&folder).unwrap();
    }
}

/// Adapters learn, the weights beside them stay, and a checkpoint holds what learns alone.
#[test]
fn adapters_learn() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tutelage-model/fixtures/families");
    let device = Device::cpu(2, Isa::detect()).unwrap();
    let stored = StoredModel::open(&fixtures.join("qwen3")).unwrap();
    let lora = LoraConfig {
        rank: 4,
        alpha: 8.0,
        rank_stabilised: false,
        targets: ["q_proj", "v_proj", "o_proj", "gate_proj", "down_proj"].map(str::to_owned).to_vec(),
        base: None,
    };
    let config =
        TrainConfig { lr: Schedule { peak: 0.02, warmup_steps: 0, shape: Shape::Constant }, ..crate::config() };
    let ids: Vec<i32> = (0..24).map(|i| 3 + i * 7 % 30).collect();
    let labels = ids[1..].iter().copied().chain([IGNORED]).collect();
    let rows = 0..24;
    let documents = vec![rows.clone()];
    let batch =
        Batch { ids, labels, positions: (0..24).collect(), documents, routes: vec![], sequences: vec![(0, rows)] };
    for precision in [Precision::F32, Precision::Bf16] {
        let mut learner = Learner::new(stored.adapted(&device, precision, lora.clone(), 3).unwrap(), &config);
        let losses: Vec<f64> = (0..12)
            .map(|step| learner.step(std::slice::from_ref(&batch), &config, step, None).unwrap().losses.loss)
            .collect();
        assert!(losses[11] < 0.6 * losses[0], "{losses:?}");
        let folder = std::env::temp_dir().join(format!("tutelage-adapters-{}", std::process::id()));
        create_folder(&folder).unwrap();
        learner.into_model().save_adapters(&folder).unwrap();
        let merged = StoredModel::open(&fixtures.join("qwen3")).unwrap().merged(&folder).unwrap();
        let mut merged = Learner::new(merged.decoder(Params::new(&device, precision)).unwrap(), &config);
        let after = merged.step(std::slice::from_ref(&batch), &config, 0, None).unwrap().losses.loss;
        assert!(after < losses[11] + 0.05, "merged: {after} after {losses:?}");
        remove_folder(&folder).unwrap();
    }
}
