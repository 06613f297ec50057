//! `tutelage bench`.

use std::io::Write;

use serde_json::json;
use tutelage_bench::{
    Ceilings, DecoderConfig, EncodeTimes, GenerateRequest, GenerateTimes, KernelTimes, Shape, StepRequest, StepTimes,
    TeacherKind, ceilings, encode, generate, kernels, open_model, random_model, step,
};
use tutelage_recipe::corpus::read_texts;
use tutelage_recipe::{EngineChoice, open_tokenizer};

use crate::args::{Bench, BenchTeacher};
use crate::commands::print_json;
use crate::failure::Failure;

pub(crate) fn bench(what: Bench, engine: &EngineChoice) -> Result<(), Failure> {
    let device = engine.device()?;
    match what {
        Bench::Ceilings { json } => {
            let found = ceilings(&device);
            if json { print_json(&json!(found)) } else { print_ceilings(&found) }
        }
        Bench::Encode { tokenizer, inputs, bytes, repeats, json } => {
            let texts = read_texts(&inputs, bytes)?;
            let tokenizer = open_tokenizer(&tokenizer)?;
            let found = encode(&tokenizer, &texts, engine.threads(), usize::from(repeats));
            let found = found.map_err(tutelage_recipe::RecipeError::from)?;
            if json { print_json(&json!(found)) } else { print_encode(&found) }
        }
        Bench::Kernels { shape, repeats, json } => {
            let found = kernels(&Shape::parse(&shape.shape)?, usize::from(repeats), &device)?;
            if json { print_json(&json!(found)) } else { print_kernels(&found) }
        }
        Bench::Generate { model, dtype, shape, batch, context, repeats, json } => {
            let weights = dtype.weights();
            let model = match (model, shape) {
                (Some(path), _) => open_model(&path, &device, weights)?,
                (None, shape) => {
                    let longest = context.iter().max().map_or(0, |&n| n as usize) + usize::from(repeats) + 64;
                    let config = Shape::parse(&shape.unwrap_or_default())?.config();
                    let max_positions = config.max_positions.max(longest);
                    random_model(DecoderConfig { max_positions, ..config }, &device, weights)?
                }
            };
            let request = GenerateRequest {
                batches: batch.into_iter().map(usize::from).collect(),
                contexts: context.into_iter().map(|n| n as usize).collect(),
                repeats: usize::from(repeats),
            };
            let found = generate(&request, model, weights)?;
            let ceilings = ceilings(&device);
            if json {
                return print_json(&json!({ "generate": found, "ceilings": ceilings }));
            }
            print_generate(&found, &ceilings)
        }
        Bench::Step { shape, experts, teacher, divergence, features, repeats, recompute, json } => {
            let request = StepRequest {
                shape: Shape::parse(&shape.shape)?.with_experts(experts),
                teacher: match teacher {
                    BenchTeacher::None => TeacherKind::None,
                    BenchTeacher::Live => TeacherKind::Live,
                    BenchTeacher::Cache => TeacherKind::Cache,
                    BenchTeacher::Remote => TeacherKind::Remote,
                },
                divergence,
                features,
                repeats: usize::from(repeats),
                recompute,
                scratch: std::env::temp_dir(),
            };
            let times = step(&request, &device)?;
            // Measured afterwards: its arrays would count as memory of the step.
            let ceilings = ceilings(&device);
            if json {
                return print_json(&json!({ "step": times, "ceilings": ceilings }));
            }
            print_step(&times, &ceilings)
        }
    }
}

fn print_encode(t: &EncodeTimes) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let (library, own) = (t.library_bytes_per_second / 1e6, t.bytes_per_second / 1e6);
    let megabytes = t.bytes as f64 / 1e6;
    writeln!(out, "{} texts, {megabytes:.1} MB, {} tokens; {} threads", t.documents, t.tokens, t.n_threads)?;
    writeln!(out, "library  {library:>8.1} MB/s")?;
    writeln!(out, "encoder  {own:>8.1} MB/s, {:.1} x", own / library)?;
    if !t.is_fast {
        writeln!(out, "this tokenizer's form goes through the library")?;
    }
    writeln!(out, "texts with other ids: {}", t.differing)?;
    Ok(())
}

fn print_generate(t: &GenerateTimes, c: &Ceilings) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let read = c.read_bytes_per_second;
    writeln!(
        out,
        "{} weights ({:.0} MB read a step), {} on {} threads, memory read at {:.1} GB/s, peak memory {:.0} MB",
        t.parameters,
        t.weight_bytes as f64 / 1e6,
        t.isa,
        t.n_threads,
        read / 1e9,
        t.peak_memory_bytes.unwrap_or(0) as f64 / 1e6
    )?;
    for p in &t.prefill {
        let flops = p.flops_per_second / 1e12;
        writeln!(out, "prompt of {:>6}: {:>8.0} tokens/s, {flops:.2} TFLOP/s", p.context, p.tokens_per_second)?;
    }
    for d in &t.decode {
        writeln!(
            out,
            "{:>4} texts after {:>6}: {:>8.1} tokens/s, {:>7.2} ms a step, {:>5.1} GB/s ({:.0} % of reading)",
            d.batch,
            d.context,
            d.tokens_per_second,
            d.milliseconds,
            d.bytes_per_second / 1e9,
            100.0 * d.bytes_per_second / read
        )?;
    }
    Ok(())
}

fn print_ceilings(c: &Ceilings) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let tera = |x: f64| x / 1e12;
    writeln!(out, "threads           {}", c.n_threads)?;
    writeln!(out, "bf16 products     {:.2} TFLOP/s ({})", tera(c.bf16_flops_per_second), c.bf16_instructions)?;
    writeln!(out, "f32 products      {:.2} TFLOP/s", tera(c.f32_flops_per_second))?;
    writeln!(out, "memory            {:.1} GB/s (triad)", c.memory_bytes_per_second / 1e9)?;
    writeln!(out, "memory, reading   {:.1} GB/s", c.read_bytes_per_second / 1e9)?;
    Ok(())
}

fn print_kernels(t: &KernelTimes) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} on {}, {} threads; times in ms, references in f64 on one thread",
        t.shape.name, t.isa, t.ceilings.n_threads
    )?;
    writeln!(
        out,
        "{:<16} {:<9} {:>9} {:>9} {:>7} {:>10} {:>11}  sizes",
        "operation", "pass", "time", "TFLOP/s", "GB/s", "% ceiling", "reference"
    )?;
    for k in &t.kernels {
        writeln!(
            out,
            "{:<16} {:<9} {:>9.3} {:>9.2} {:>7.1} {:>10.0} {:>11.0}  {}",
            k.operation,
            k.pass,
            k.milliseconds,
            k.flops_per_second / 1e12,
            k.bytes_per_second / 1e9,
            k.percent_of_ceiling,
            k.reference_milliseconds,
            k.sizes
        )?;
    }
    Ok(())
}

fn print_step(t: &StepTimes, c: &Ceilings) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let ceiling = c.bf16_flops_per_second.max(c.f32_flops_per_second);
    writeln!(
        out,
        "{}: {:.0} tokens/s, {:.1} ms a step, {:.2} TFLOP/s ({:.0} % of {:.2}), peak memory {:.0} MB",
        t.shape.name,
        t.tokens_per_second,
        t.milliseconds,
        t.flops_per_second / 1e12,
        100.0 * t.flops_per_second / ceiling,
        ceiling / 1e12,
        t.peak_memory_bytes.unwrap_or(0) as f64 / 1e6
    )?;
    writeln!(
        out,
        "{} weights, {} on {} threads; pool {:.0} MB (planned for the student: {:.0}), {} fresh buffers in the steady state; loss {:.4}",
        t.parameters,
        t.isa,
        t.n_threads,
        t.pool_bytes as f64 / 1e6,
        t.planned_bytes as f64 / 1e6,
        t.fresh_buffers,
        t.loss
    )?;
    let counted: f64 = t.operations.iter().map(|op| op.milliseconds).sum();
    for op in &t.operations {
        writeln!(out, "{:>9.2} ms  {:>5.1} calls  {}", op.milliseconds, op.calls, op.name)?;
    }
    writeln!(out, "{:>9.2} ms  in all of them (of {:.2})", counted, t.milliseconds)?;
    Ok(())
}
