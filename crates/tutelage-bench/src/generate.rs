//! Reading prompts and writing texts: steps of a model over cached keys and values.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use tutelage_model::{Decoder, DecoderConfig, Part, StoredModel};
use tutelage_run::{RandomStream, peak_memory_bytes};
use tutelage_tensor::kernels::attention::PAGE;
use tutelage_tensor::{Device, Weights};

use crate::step::operations;
use crate::{BenchError, OperationTime, median};

/// What to measure.
#[derive(Debug, Clone)]
pub struct GenerateRequest {
    /// Sequences that are written together.
    pub batches: Vec<usize>,
    /// Tokens before.
    pub contexts: Vec<usize>,
    /// Steps that are timed, after two that are not.
    pub repeats: usize,
}

/// Reading a prompt.
#[derive(Debug, Clone, Serialize)]
pub struct PrefillTimes {
    /// Tokens of the prompt.
    pub context: usize,
    /// Tokens a second.
    pub tokens_per_second: f64,
    /// Floating-point operations a second.
    pub flops_per_second: f64,
}

/// Writing a token in each of some texts.
#[derive(Debug, Clone, Serialize)]
pub struct DecodeTimes {
    /// Texts.
    pub batch: usize,
    /// Tokens before, in each.
    pub context: usize,
    /// Median milliseconds of a step.
    pub milliseconds: f64,
    /// Tokens a second, of all texts.
    pub tokens_per_second: f64,
    /// Bytes of weights, keys and values that a step reads, a second.
    pub bytes_per_second: f64,
    /// Mean time by operation, from steps of their own.
    pub operations: Vec<OperationTime>,
}

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub struct GenerateTimes {
    /// Instruction set.
    pub isa: String,
    /// Threads.
    pub n_threads: usize,
    /// Weights.
    pub parameters: u64,
    /// Bytes of weights that a step reads.
    pub weight_bytes: u64,
    /// Prompts.
    pub prefill: Vec<PrefillTimes>,
    /// Texts.
    pub decode: Vec<DecodeTimes>,
    /// Peak memory of the process in bytes.
    pub peak_memory_bytes: Option<u64>,
}

const WARM_UP: usize = 2;
const PROFILED: usize = 3;
/// Rows of a prompt that go through the model together, as an engine has them.
const PROMPT_ROWS: usize = 512;

/// A model's folder or GGUF file, for inference.
///
/// # Errors
/// When it is not whole.
pub fn open_model(path: &Path, device: &Device, weights: Weights) -> Result<Decoder, BenchError> {
    Ok(StoredModel::open(path)?.decoder(weights.params(device))?)
}

/// A random model of these sizes, for inference.
///
/// # Errors
/// When they make no model.
pub fn random_model(config: DecoderConfig, device: &Device, weights: Weights) -> Result<Decoder, BenchError> {
    Ok(Decoder::random_in(config, weights.params(device), 1)?)
}

/// Measures steps of the model: forward, logits, the most likely token. Contexts are pages of zeros, which take as long.
///
/// # Errors
/// When a context does not fit into the model's positions.
pub fn generate(request: &GenerateRequest, mut model: Decoder, weights: Weights) -> Result<GenerateTimes, BenchError> {
    model.params_mut().serve();
    let device = model.params().device().clone();
    let config = model.config().clone();
    let longest = request.contexts.iter().max().copied().unwrap_or(0) + WARM_UP + request.repeats + PROFILED;
    if longest > config.n_positions() {
        let found = format!("{longest} tokens where the model has {} positions", config.n_positions());
        return Err(BenchError::Request(found));
    }
    let table = (config.vocab_size * config.d_model) as u64;
    let matrices = config.n_active_weights() - if config.tied_embeddings { 0 } else { table };
    let [inner, head] = weights.bytes();
    let weight_bytes = (inner * (matrices - table) as f64 + head * table as f64) as u64;
    let mut prefill = Vec::new();
    for &context in &request.contexts {
        let seconds = device.enter(|| read(&model, context));
        prefill.push(PrefillTimes {
            context,
            tokens_per_second: context as f64 / seconds,
            flops_per_second: (context as u64 * config.forward_flops(context)) as f64 / seconds,
        });
    }
    let mut decode = Vec::new();
    for &context in &request.contexts {
        for &batch in &request.batches {
            let (seconds, operations) = device.enter(|| write(&model, batch, context, request.repeats));
            let kv = 2 * 2 * config.n_layers * config.n_kv_heads * config.d_head * context * batch;
            decode.push(DecodeTimes {
                batch,
                context,
                milliseconds: 1e3 * seconds,
                tokens_per_second: batch as f64 / seconds,
                bytes_per_second: (weight_bytes + kv as u64) as f64 / seconds,
                operations,
            });
        }
    }
    Ok(GenerateTimes {
        isa: device.isa().to_string(),
        n_threads: device.n_threads(),
        parameters: config.n_weights(),
        weight_bytes,
        prefill,
        decode,
        peak_memory_bytes: peak_memory_bytes(),
    })
}

fn ids(n: usize, vocab_size: usize) -> Vec<i32> {
    let mut random = RandomStream::new(1, "bench prompt");
    (0..n).map(|_| random.below(vocab_size as u64) as i32).collect()
}

/// Seconds to read a prompt, the second time.
fn read(model: &Decoder, context: usize) -> f64 {
    let ids = ids(context, model.config().vocab_size);
    let pages: Vec<u32> = (0..context.div_ceil(PAGE) as u32).collect();
    let mut pool = model.new_pool(pages.len());
    let mut seconds = 0.0;
    for _ in 0..2 {
        let begun = Instant::now();
        for (part, first) in ids.chunks(PROMPT_ROWS).zip((0..).step_by(PROMPT_ROWS)) {
            let part = Part { ids: part, first, len: context, pages: &pages, is_prompt: true };
            let hidden = model.batch_hidden(&[part], &mut pool);
            if first + PROMPT_ROWS >= context {
                let last = hidden.dims2().0 - 1;
                std::hint::black_box(model.logits(hidden.rows(model.params().device(), &[last])));
            }
        }
        seconds = begun.elapsed().as_secs_f64();
    }
    seconds
}

/// Median seconds of a step that writes a token in each text, and where they go.
fn write(model: &Decoder, batch: usize, context: usize, repeats: usize) -> (f64, Vec<OperationTime>) {
    let device = model.params().device();
    let per_text = (context + WARM_UP + repeats + PROFILED).div_ceil(PAGE);
    let mut pool = model.new_pool(batch * per_text);
    let pages: Vec<Vec<u32>> =
        (0..batch).map(|i| ((i * per_text) as u32..((i + 1) * per_text) as u32).collect()).collect();
    let mut last = ids(batch, model.config().vocab_size);
    let mut times = Vec::new();
    for step in 0..WARM_UP + repeats + PROFILED {
        device.set_profiling(step >= WARM_UP + repeats);
        let begun = Instant::now();
        let first = context + step;
        let parts: Vec<Part<'_>> = last
            .iter()
            .zip(&pages)
            .map(|(id, pages)| Part { ids: std::slice::from_ref(id), first, len: first + 1, pages, is_prompt: false })
            .collect();
        let logits = model.logits(model.batch_hidden(&parts, &mut pool));
        let width = logits.dims2().1;
        let most_likely = |row: &[f32]| {
            let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            best.map_or(0, |(id, _)| id as i32)
        };
        last = logits.slice::<f32>().chunks_exact(width).map(most_likely).collect();
        if (WARM_UP..WARM_UP + repeats).contains(&step) {
            times.push(begun.elapsed().as_secs_f64());
        }
    }
    device.set_profiling(false);
    (median(times), operations(device, PROFILED))
}
