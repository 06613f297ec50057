//! The loop: bits across interruptions and accumulation, divergence, and checkpoints that are refused.

#![allow(clippy::unwrap_used)]

mod families;
mod taught;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tutelage_data::{PackedSet, Shard, ShardWriter, Tail};
use tutelage_loss::{Schedule, Targets, Teacher, TeacherError, TeacherInput};
use tutelage_model::{Decoder, DecoderConfig, Family, Options, RopeScaling};
use tutelage_run::records::MetricsRecord;
use tutelage_run::{
    Event, Hash, Observer, Silent, StopFlag, create_folder, hash_bytes, hash_file, read_lines, remove_folder,
};
use tutelage_tensor::{Device, Isa, Precision};
use tutelage_train::{Distillation, Job, Outcome, TrainConfig, TrainError, train};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tutelage-train-{name}-{}", std::process::id()));
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

fn set(folder: &Path) -> PackedSet {
    let stem = folder.join("train");
    let mut writer = ShardWriter::create(&stem, hash_bytes(b"t"), 30).unwrap();
    for document in 0..40u32 {
        let ids: Vec<u32> = (0..9 + document % 5).map(|i| 3 + (i * i + document) % 25).collect();
        writer.push(&ids, 1).unwrap();
    }
    writer.finish().unwrap();
    PackedSet::new(Arc::new(Shard::open(&stem).unwrap()), 12, Some(1), Tail::Drop).unwrap()
}

fn decoder_config(d_ff: usize) -> DecoderConfig {
    DecoderConfig {
        family: Family::InternLm2,
        vocab_size: 30,
        d_model: 16,
        n_layers: 2,
        n_heads: 2,
        n_kv_heads: 1,
        d_head: 8,
        d_ff,
        tied_embeddings: false,
        options: Options::default(),
        max_positions: 12,
        rope_theta: 1e4,
        rope_scaling: RopeScaling::None,
        norm_eps: 1e-5,
        init_std: 0.1,
        bos: Some(1),
        eos: 2,
        more_eos: Vec::new(),
    }
}

fn model(n_threads: usize, d_ff: usize) -> Decoder {
    let device = Device::cpu(n_threads, Isa::detect()).unwrap();
    Decoder::random(decoder_config(d_ff), &device, Precision::Bf16, 3).unwrap()
}

fn config() -> TrainConfig {
    TrainConfig {
        steps: 12,
        batch_size: 4,
        micro_batch_size: 4,
        lr: Schedule { peak: 0.01, warmup_steps: 2, shape: tutelage_loss::Shape::Cosine { floor: 0.001 } },
        beta1: 0.9,
        beta2: 0.95,
        eps: 1e-8,
        weight_decay: 0.1,
        grad_clip: 1.0,
        data_seed: 5,
        log_every: 5,
        eval_every: 4,
        checkpoint_every: 3,
        keep_checkpoints: 2,
        snapshots: vec![5, 9],
        distillation: None,
        teacher_flops: 0,
    }
}

/// Raises the flag when a step is done.
struct StopAt<'a>(u64, &'a StopFlag);

impl Observer for StopAt<'_> {
    fn event(&mut self, event: &Event<'_>) {
        if matches!(event, Event::Progress { done, .. } if *done == self.0) {
            self.1.raise();
        }
    }
}

struct Run<'a> {
    folder: &'a Path,
    config: TrainConfig,
    model: Decoder,
    fingerprint: Hash,
}

impl<'a> Run<'a> {
    fn new(folder: &'a Path, config: TrainConfig) -> Self {
        create_folder(folder).unwrap();
        Self { folder, config, model: model(2, 24), fingerprint: hash_bytes(b"run") }
    }

    fn go(
        self,
        set: &PackedSet,
        teacher: Option<&dyn Teacher>,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<Outcome, TrainError> {
        let job = Job {
            online: None,
            continue_texts: &|_, _| panic!("nothing here learns from its own texts"),
            routes: None,
            set,
            config: &self.config,
            teacher,
            folder: self.folder,
            fingerprint: &self.fingerprint,
            evaluate: &mut |model| f64::from(model.params().get(model.head()).values()[0]),
            snapshot: &mut |model, step| {
                let bits: Vec<u8> =
                    model.params().iter().flat_map(|(_, p)| p.values().iter().flat_map(|x| x.to_le_bytes())).collect();
                Ok(std::fs::write(self.folder.join(format!("snapshot-{step}")), bits)?)
            },
            stage: "train/x",
            detail: "",
        };
        train(self.model, job, observer, stop)
    }

    fn finish(self, set: &PackedSet) -> Vec<u32> {
        match self.go(set, None, &mut Silent, &StopFlag::default()).unwrap() {
            Outcome::Done { model, stats, .. } => {
                assert_eq!(stats.tokens, 12 * 4 * 12);
                model.params().iter().flat_map(|(_, p)| p.values().iter().map(|x| x.to_bits())).collect()
            }
            Outcome::Stopped { .. } => panic!("stopped"),
        }
    }
}

fn metrics(folder: &Path) -> Hash {
    hash_file(&folder.join("metrics.jsonl")).unwrap()
}

#[test]
fn an_interrupted_run_ends_with_the_same_bits() {
    let folder = Folder::new("bits");
    let set = set(&folder.0);
    let (whole, parts) = (folder.0.join("whole"), folder.0.join("parts"));
    let expected = Run::new(&whole, config()).finish(&set);
    let lines: Vec<MetricsRecord> = read_lines(&whole.join("metrics.jsonl")).unwrap();
    assert_eq!(lines.iter().map(|l| l.step).collect::<Vec<_>>(), [4, 5, 8, 10, 12]);
    assert!(lines[4].lm_loss < lines[0].lm_loss);
    // Stopped by hand after steps 1 and 7: a checkpoint at each.
    for at in [1, 7] {
        let stop = StopFlag::default();
        let outcome = Run::new(&parts, config()).go(&set, None, &mut StopAt(at, &stop), &stop).unwrap();
        assert!(matches!(outcome, Outcome::Stopped { step } if step == at));
    }
    // Killed after step 9's checkpoint: lines written since then are cut away.
    let mut text = std::fs::read_to_string(parts.join("metrics.jsonl")).unwrap();
    text.push_str("{\"step\":99,\"half a li");
    std::fs::write(parts.join("metrics.jsonl"), text).unwrap();
    assert_eq!(Run::new(&parts, config()).finish(&set), expected);
    assert_eq!(metrics(&parts), metrics(&whole));
    for step in ["snapshot-5", "snapshot-9"] {
        assert!(std::fs::read(parts.join(step)).unwrap() == std::fs::read(whole.join(step)).unwrap());
    }
    let checkpoints = parts.join("checkpoints");
    let kept = || {
        let mut names: Vec<_> = std::fs::read_dir(&checkpoints).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(kept(), ["step-0000009", "step-0000012"]);
    // Killed between a checkpoint and the removal of an old one.
    create_folder(&checkpoints.join("step-0000006")).unwrap();
    assert_eq!(Run::new(&parts, config()).finish(&set), expected);
    assert_eq!(kept(), ["step-0000009", "step-0000012"]);
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let folder = Folder::new("passed-over");
    let set = set(&folder.0);
    let (whole, parts) = (folder.0.join("whole"), folder.0.join("parts"));
    let expected = Run::new(&whole, config()).finish(&set);
    let stop = StopFlag::default();
    Run::new(&parts, config()).go(&set, None, &mut StopAt(8, &stop), &stop).unwrap();
    let newest = parts.join("checkpoints/step-0000008/optimizer.safetensors");
    let mut bytes = std::fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&newest, bytes).unwrap();
    assert_eq!(Run::new(&parts, config()).finish(&set), expected);
    assert_eq!(metrics(&parts), metrics(&whole));
    // With none whole there is nothing to go on from, and that is said.
    for entry in std::fs::read_dir(parts.join("checkpoints")).unwrap() {
        std::fs::write(entry.unwrap().path().join("state.json"), "{").unwrap();
    }
    let error = Run::new(&parts, config()).go(&set, None, &mut Silent, &StopFlag::default()).unwrap_err();
    assert!(error.is_request() && error.to_string().contains("no checkpoint here is whole"), "{error}");
}

#[test]
fn threads_do_not_change_bits() {
    let folder = Folder::new("threads");
    let set = set(&folder.0);
    let results: Vec<Vec<u32>> = [1, 3]
        .map(|n| {
            let path = folder.0.join(n.to_string());
            Run { model: model(n, 24), ..Run::new(&path, config()) }.finish(&set)
        })
        .into();
    assert!(results[0] == results[1]);
}

#[test]
fn accumulation_divides_by_the_tokens_of_the_whole_step() {
    let folder = Folder::new("accumulate");
    let set = set(&folder.0);
    let losses = |name: &str, micro_batch_size| {
        let path = folder.0.join(name);
        let config = TrainConfig { micro_batch_size, log_every: 1, ..config() };
        Run::new(&path, config).finish(&set);
        let lines: Vec<MetricsRecord> = read_lines(&path.join("metrics.jsonl")).unwrap();
        lines.iter().map(|l| (l.loss, l.grad_norm)).collect::<Vec<_>>()
    };
    // Sequences have different numbers of labels, so a mean of means would differ in the third digit.
    for ((a, norm_a), (b, norm_b)) in losses("1x4", 4).into_iter().zip(losses("4x1", 1)) {
        assert!((a - b).abs() < 2e-3 && (norm_a - norm_b).abs() < 2e-2, "{a} {b} {norm_a} {norm_b}");
    }
    let first = |name: &str, micro| losses(name, micro)[0];
    let (a, b) = (first("1x4", 4), first("3+1", 3));
    assert!((a.0 - b.0).abs() < 1e-6 && (a.1 - b.1).abs() < 1e-3, "{a:?} {b:?}");
}

#[test]
fn a_checkpoint_of_other_settings_or_shapes_is_refused() {
    let folder = Folder::new("refused");
    let set = set(&folder.0);
    let path = folder.0.join("run");
    Run::new(&path, config()).finish(&set);
    let refuse = |run: Run<'_>| {
        let error = run.go(&set, None, &mut Silent, &StopFlag::default()).unwrap_err();
        assert!(error.is_request());
        error.to_string()
    };
    let other = Run { fingerprint: hash_bytes(b"other"), ..Run::new(&path, config()) };
    assert!(refuse(other).contains("other settings"));
    let wider = Run { model: model(1, 32), ..Run::new(&path, config()) };
    assert!(refuse(wider).contains("has shape [24, 16] where [32, 16] is expected"));
}

/// Supplies log-probabilities that are no numbers from the second step on.
struct Broken(AtomicU64);

impl Teacher for Broken {
    fn targets(&self, input: TeacherInput<'_>) -> Result<Targets<'_>, TeacherError> {
        let step = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        let mut out = tutelage_loss::SparseTargets::new();
        for _ in input.ids {
            out.ids.push(3);
            out.values.push(if step > 4 { f32::NAN } else { 0.0 });
            out.end_row();
        }
        Ok(Targets::TopPK(out))
    }
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint() {
    let folder = Folder::new("nan");
    let set = set(&folder.0);
    let path = folder.0.join("run");
    let distillation = Distillation::mix(Schedule::constant(0.5));
    let config = TrainConfig { distillation: Some(distillation), ..config() };
    let teacher = Broken(AtomicU64::new(0));
    let run = Run::new(&path, config);
    let error = run.go(&set, Some(&teacher), &mut Silent, &StopFlag::default()).unwrap_err();
    assert!(!error.is_request());
    let message = error.to_string();
    assert!(message.contains("step 5: the loss is NaN") && message.contains("step 3 is kept"), "{message}");
    assert!(path.join("checkpoints/step-0000003/state.json").exists());
}
