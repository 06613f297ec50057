//! Whole training steps.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tutelage_data::{Batch, PackedSet, Shard, ShardWriter, Tail};
use tutelage_loss::features::{FeatureKind, TapKind};
use tutelage_loss::{Divergence, Objective, Schedule, TargetKind, Teacher};
use tutelage_model::{Decoder, DecoderConfig};
use tutelage_run::{RandomStream, StopFlag, create_folder, hash_bytes, peak_memory_bytes, remove_folder};
use tutelage_teacher::cache::{self, CacheHeader, Kept, ModelSource};
use tutelage_teacher::remote::{RemoteSource, RemoteTeacher, ServerConfig, TokenizerProbe};
use tutelage_teacher::{CacheError, CachedTeacher, LiveTeacher};
use tutelage_tensor::{Device, Params, Precision};
use tutelage_train::{Distillation, FeatureSchedule, Learner, TrainConfig};

use crate::{BenchError, Shape, median, stand_in};

/// Who teaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TeacherKind {
    /// Nobody.
    None,
    /// A model of twice the width, its whole distribution.
    Live,
    /// A cache of the 50 most likely entries.
    Cache,
    /// A server that has the 20 most likely entries ready: what the client costs.
    Remote,
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct StepRequest {
    /// Sizes.
    pub shape: Shape,
    /// Who teaches.
    pub teacher: TeacherKind,
    /// Name of the distance to the teacher, see [`Divergence::named`].
    pub divergence: String,
    /// Names of what is compared inside of a live teacher and the student, in every block, see [`FeatureKind::named`].
    pub features: Vec<String>,
    /// Steps that are timed, after three that are not.
    pub repeats: usize,
    /// Whether blocks are computed again on the way back.
    pub recompute: bool,
    /// Where temporary files go.
    pub scratch: PathBuf,
}

/// Time of one kind of operation in one step.
#[derive(Debug, Clone, Serialize)]
pub struct OperationTime {
    /// Its name.
    pub name: &'static str,
    /// How often it runs.
    pub calls: f64,
    /// Milliseconds in all.
    pub milliseconds: f64,
}

/// What a step costs.
#[derive(Debug, Clone, Serialize)]
pub struct StepTimes {
    /// Sizes.
    pub shape: Shape,
    /// Who teaches.
    pub teacher: TeacherKind,
    /// Instruction set.
    pub isa: String,
    /// Threads.
    pub n_threads: usize,
    /// Weights.
    pub parameters: u64,
    /// Median milliseconds of a step.
    pub milliseconds: f64,
    /// Tokens a second, of the median.
    pub tokens_per_second: f64,
    /// The model's floating-point operations a second (a live teacher's forward pass included).
    pub flops_per_second: f64,
    /// Peak memory of the process in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Bytes that the engine's pool took from the system.
    pub pool_bytes: usize,
    /// Bytes that `tutelage plan` expects of the student's training (a live teacher's are not counted).
    pub planned_bytes: u64,
    /// Buffers that a step took from the system after the first: zero in the steady state.
    pub fresh_buffers: u64,
    /// Mean time by operation, from steps of their own.
    pub operations: Vec<OperationTime>,
    /// Loss of the last step, so that work cannot be skipped unseen.
    pub loss: f64,
}

const WARM_UP: usize = 3;
const PROFILED: usize = 3;
const KEPT: Kept = Kept::TopPK { top_p: 1.0, top_k: 50 };

/// Measures whole steps: forward, loss, backward, clip, AdamW.
///
/// # Errors
/// When the shape makes no model, or a temporary file cannot be written.
pub fn step(request: &StepRequest, device: &Device) -> Result<StepTimes, BenchError> {
    let folder = request.scratch.join(format!("tutelage-bench-{}", std::process::id()));
    create_folder(&folder)?;
    let result = in_folder(request, device, &folder);
    remove_folder(&folder)?;
    result
}

fn in_folder(request: &StepRequest, device: &Device, folder: &Path) -> Result<StepTimes, BenchError> {
    let shape = &request.shape;
    let n_steps = WARM_UP + request.repeats + PROFILED;
    let set = random_set(shape, n_steps, folder)?;
    let config = shape.config();
    let mut student = Decoder::random(config.clone(), device, Precision::Bf16, 1)?;
    student.set_recompute(request.recompute);
    let whole = matches!(request.teacher, TeacherKind::None | TeacherKind::Live);
    let targets = if whole { TargetKind::Whole } else { TargetKind::TopPK };
    let divergence: Divergence = request.divergence.parse().map_err(BenchError::Request)?;
    if divergence.is_of_own_tokens() {
        let found = format!("{divergence} needs tokens that the student drew, and the bench has texts");
        return Err(BenchError::Request(found));
    }
    let objective = Objective { divergence, ..Objective::TEXT };
    objective.check(targets).map_err(|found| BenchError::Request(found.to_owned()))?;
    let teacher = teacher(request, device, &set, folder)?;
    let train = TrainConfig { distillation: distillation(request, divergence)?, ..train_config(request, n_steps) };
    let mut learner = Learner::new(student, &train);
    let mut run = |step: usize| -> Result<f64, BenchError> {
        let indices: Vec<usize> = (0..shape.batch_size).map(|i| step * shape.batch_size + i).collect();
        let batch = Batch::new(&set, &indices);
        let outcome = learner.step(&[batch], &train, step as u64, teacher.as_deref())?;
        Ok(outcome.losses.loss)
    };
    for i in 0..WARM_UP {
        run(i)?;
    }
    let fresh_before = device.memory_use().fresh_buffers;
    let mut times = Vec::new();
    let mut loss = f64::NAN;
    for i in 0..request.repeats {
        let begun = Instant::now();
        loss = run(WARM_UP + i)?;
        times.push(begun.elapsed().as_secs_f64());
    }
    let fresh_buffers = device.memory_use().fresh_buffers - fresh_before;
    device.set_profiling(true);
    for i in 0..PROFILED {
        run(WARM_UP + request.repeats + i)?;
    }
    device.set_profiling(false);
    let operations = operations(device, PROFILED);
    let seconds = median(times);
    let loss_memory = config.loss_memory(device.isa(), Precision::Bf16.activation(), shape.tokens());
    let teacher_flops =
        if request.teacher == TeacherKind::Live { teacher_config(request).forward_flops(shape.seq_len) } else { 0 };
    let flops = (config.training_flops(shape.seq_len, false) + teacher_flops) as f64 * shape.tokens() as f64;
    Ok(StepTimes {
        shape: shape.clone(),
        teacher: request.teacher,
        isa: device.isa().to_string(),
        n_threads: device.n_threads(),
        parameters: config.n_weights(),
        milliseconds: 1e3 * seconds,
        tokens_per_second: shape.tokens() as f64 / seconds,
        flops_per_second: flops / seconds,
        peak_memory_bytes: peak_memory_bytes(),
        pool_bytes: device.memory_use().reserved,
        planned_bytes: config.training_bytes(loss_memory, request.recompute),
        fresh_buffers,
        operations,
        loss,
    })
}

/// The profile of so many steps, by step.
pub(crate) fn operations(device: &Device, n_steps: usize) -> Vec<OperationTime> {
    let per_step = |x: f64| x / n_steps as f64;
    let operations = device.take_profile().into_iter().map(|op| OperationTime {
        name: op.name,
        calls: per_step(op.calls as f64),
        milliseconds: per_step(1e3 * op.seconds),
    });
    operations.collect()
}

/// Documents of one sequence each, of random tokens.
fn random_set(shape: &Shape, n_steps: usize, folder: &Path) -> Result<PackedSet, BenchError> {
    let stem = folder.join("tokens");
    let mut random = RandomStream::new(1, "bench tokens");
    let mut writer = ShardWriter::create(&stem, hash_bytes(b"bench"), shape.vocab_size)?;
    // One more, since the last token of a shard has no label.
    for _ in 0..=n_steps * shape.batch_size {
        let ids: Vec<u32> = (0..shape.seq_len).map(|_| random.below(shape.vocab_size as u64) as u32).collect();
        writer.push(&ids, shape.seq_len)?;
    }
    writer.finish()?;
    Ok(PackedSet::new(Arc::new(Shard::open(&stem)?), shape.seq_len, None, Tail::Drop)?)
}

fn teacher(
    request: &StepRequest,
    device: &Device,
    set: &PackedSet,
    folder: &Path,
) -> Result<Option<Box<dyn Teacher>>, BenchError> {
    let shape = &request.shape;
    Ok(match request.teacher {
        TeacherKind::None => None,
        TeacherKind::Live => {
            let model = Decoder::random_in(teacher_config(request), Params::frozen(device, Precision::Bf16), 2)?;
            Some(Box::new(LiveTeacher::new(model, shape.vocab_size)))
        }
        TeacherKind::Cache => {
            // Which teacher it was does not matter to the reader; a small one writes it quickly.
            let config = DecoderConfig { n_layers: 1, ..shape.config() };
            let model = Decoder::random(config, device, Precision::Bf16, 2)?;
            let sequences: Vec<usize> = (0..set.n_sequences()).collect();
            let header = CacheHeader::new(set, &sequences, &hash_bytes(b"bench teacher"), shape.vocab_size, KEPT);
            let path = folder.join("cache");
            let mut source = ModelSource { teacher: &model, kept: KEPT, vocabulary: shape.vocab_size };
            cache::write(&path, &header, &mut source, set, &sequences, &StopFlag::default(), &mut |_| ())?;
            Some(Box::new(CachedTeacher::open(&path, &header)?))
        }
        TeacherKind::Remote => {
            let text = "abc".to_owned();
            let probe = TokenizerProbe { ids: text.bytes().map(u32::from).collect(), text };
            let config = ServerConfig {
                url: stand_in::start(shape.vocab_size)?,
                model: Some(stand_in::MODEL.to_owned()),
                api_key: None,
                connections: 4,
                request_tokens: 2048,
                timeout: Duration::from_secs(60),
                retries: 0,
                budget: 0,
            };
            let kept = Kept::TopPK { top_p: 1.0, top_k: 20.min(shape.vocab_size) };
            let source = RemoteSource::open(config, &kept, shape.vocab_size, &probe).map_err(CacheError::from)?;
            Some(Box::new(RemoteTeacher::new(source)))
        }
    })
}

fn distillation(request: &StepRequest, divergence: Divergence) -> Result<Option<Distillation>, BenchError> {
    if !request.features.is_empty() && request.teacher != TeacherKind::Live {
        return Err(BenchError::Request("features are compared with a live teacher's".to_owned()));
    }
    if request.teacher == TeacherKind::None {
        return Ok(None);
    }
    let d_teacher = teacher_config(request).d_model;
    let feature = |name: &String| {
        let kind = FeatureKind::named(name).map_err(BenchError::Request)?;
        let projection = (kind.tap() != TapKind::Maps).then_some(d_teacher);
        let pairs = (1..=request.shape.n_layers).map(|layer| (layer, layer)).collect();
        Ok(FeatureSchedule { kind, weight: Schedule::constant(1.0), relative: true, pairs, projection })
    };
    let features = request.features.iter().map(feature).collect::<Result<_, BenchError>>()?;
    Ok(Some(Distillation { divergence, features, ..Distillation::mix(Schedule::constant(0.9)) }))
}

/// A live teacher's sizes: with as many heads as the student where attention is compared.
fn teacher_config(request: &StepRequest) -> DecoderConfig {
    let config = request.shape.teacher_config();
    match request.features.iter().any(|name| name == FeatureKind::AttentionKl.name()) {
        true => DecoderConfig {
            n_heads: config.n_heads / 2,
            n_kv_heads: config.n_kv_heads / 2,
            d_head: 2 * config.d_head,
            ..config
        },
        false => config,
    }
}

fn train_config(request: &StepRequest, n_steps: usize) -> TrainConfig {
    TrainConfig {
        steps: n_steps as u64,
        batch_size: request.shape.batch_size,
        micro_batch_size: request.shape.batch_size,
        lr: Schedule::constant(1e-3),
        beta1: 0.9,
        beta2: 0.95,
        eps: 1e-8,
        weight_decay: 0.01,
        grad_clip: 1.0,
        data_seed: 1,
        log_every: 1,
        eval_every: 0,
        checkpoint_every: u64::MAX,
        keep_checkpoints: 1,
        snapshots: Vec::new(),
        distillation: None,
        teacher_flops: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plan's promise, and the steady state's.
    #[test]
    fn memory_is_as_planned_and_no_step_takes_more() {
        // Of several threads, two may hold scratch at once in one step and not in another, by the machine's load.
        let device = Device::cpu(1, tutelage_tensor::Isa::detect()).unwrap();
        let request = StepRequest {
            shape: Shape::parse("256,4,4,2,704,8192,2,256").unwrap(),
            teacher: TeacherKind::None,
            divergence: "forward_kl".to_owned(),
            features: Vec::new(),
            repeats: 1,
            recompute: false,
            scratch: std::env::temp_dir(),
        };
        let found = step(&request, &device).unwrap();
        let ratio = found.planned_bytes as f64 / found.pool_bytes as f64;
        // Without bf16 products the copies are f32.
        if device.isa() <= tutelage_tensor::Isa::Avx512Bf16 {
            assert!((0.85..1.15).contains(&ratio), "planned {} bytes, took {}", found.planned_bytes, found.pool_bytes);
        }
        assert_eq!(found.fresh_buffers, 0, "buffers taken from the system in the steady state");
    }
}
