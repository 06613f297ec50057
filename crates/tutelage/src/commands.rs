//! What each command does.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use tutelage_recipe::corpus::{look, pipeline};
use tutelage_recipe::plan::{PlanRow, plan};
use tutelage_recipe::run::{RunOutcome, run};
use tutelage_recipe::{ConvertRequest, Converted, EngineChoice, Workload, convert, inspect, load};
use tutelage_report::{DataReport, RunData, claims, markdown, table, verdict, write_data_html, write_html};
use tutelage_run::{StopFlag, write_atomic};

use crate::args::{Args, Command};
use crate::bench::bench;
use crate::data::{data, plan_pipeline, run_pipeline};
use crate::failure::Failure;
use crate::generate::generate;
use crate::progress::Progress;
use crate::serve::serve;
use crate::teacher::teacher;
use crate::tokenizer::tokenizer;

/// Interrupted by Ctrl-C or SIGTERM; everything is saved, but the request is not done.
pub(crate) const INTERRUPTED: u8 = 1;

pub(crate) fn execute(args: Args) -> Result<ExitCode, Failure> {
    let isa = match std::env::var("TUTELAGE_ISA") {
        Ok(name) => Some(name),
        Err(std::env::VarError::NotPresent) => None,
        Err(error) => return Err(Failure::request(format!("TUTELAGE_ISA: {error}"))),
    };
    let engine = EngineChoice { threads: args.threads.map(usize::from), isa };
    match args.command {
        Command::Run { recipe, out, set } => run_recipe(&recipe, out.as_deref(), &set, &engine),
        Command::Plan { recipe, set, json } => print_plan(&recipe, &set, &engine, json),
        Command::Report { runs, json, markdown } => report(&runs, json, markdown.as_deref()),
        Command::Inspect { path, batch, seq_len, json } => {
            let workload = Workload { batch: batch as usize, seq_len: seq_len as usize };
            print_findings(&path, workload, json)
        }
        Command::Bench { what } => bench(what, &engine).map(|()| ExitCode::SUCCESS),
        Command::Convert { input, out, adapter, family, dtype, max_shard_size, json } => {
            let max_shard_bytes = max_shard_size;
            convert_model(&ConvertRequest { input, out, adapter, family, dtype, max_shard_bytes }, json)
        }
        Command::Data { what } => data(what, &engine),
        Command::Teacher { what } => teacher(what, &engine),
        Command::Tokenizer { what } => tokenizer(what),
        Command::Generate(args) => generate(*args, engine),
        Command::Serve(args) => serve(*args, &engine),
    }
}

/// Raised by the first Ctrl-C or SIGTERM; the second one ends the process at once.
pub(crate) fn stop_flag() -> Result<StopFlag, Failure> {
    let flag = StopFlag::default();
    let raised = flag.clone();
    let handler = move || {
        if raised.is_raised() {
            std::process::exit(130);
        }
        raised.raise();
        say!("\nstopping at the next safe point; once more to stop at once");
    };
    ctrlc::set_handler(handler).map_err(|error| Failure::machine(format!("cannot watch for Ctrl-C: {error}")))?;
    Ok(flag)
}

fn run_recipe(recipe: &Path, out: Option<&Path>, set: &[String], engine: &EngineChoice) -> Result<ExitCode, Failure> {
    if let Some(pipeline) = pipeline(recipe, set)? {
        return run_pipeline(&pipeline, out, engine);
    }
    let plan = plan(load(recipe, set)?)?;
    let stop = stop_flag()?;
    let mut progress = Progress::new();
    let outcome = run(&plan, out, engine, &mut progress, &stop)?;
    drop(progress);
    match outcome {
        RunOutcome::Stopped(folder) => {
            say!("stopped; everything is saved in {}: the same command goes on from there", folder.display());
            Ok(ExitCode::from(INTERRUPTED))
        }
        RunOutcome::Done(folder) => {
            let data = RunData::read(&folder)?;
            let path = write_html(&data)?;
            print_run(&data)?;
            say!("report: {}", path.display());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The report of stages over documents; what they are like is found out first.
fn report_data(folder: &Path, stages: &[(String, PathBuf)], json: bool) -> Result<Value, Failure> {
    let mut progress = Progress::new();
    stages.iter().try_for_each(|(_, stage)| look(stage, &mut progress))?;
    drop(progress);
    let report = DataReport::read(folder)?;
    let path = write_data_html(&report)?;
    if !json {
        for stage in &report.stages {
            let number = |name: &str| stage.manifest[name].as_u64().unwrap_or(0);
            writeln!(std::io::stdout(), "{}: {} of {} documents kept", stage.name, number("kept"), number("read"))?;
        }
        say!("report: {}", path.display());
    }
    let stages = report
        .stages
        .into_iter()
        .map(|stage| json!({ "name": stage.name, "manifest": stage.manifest, "look": stage.look }));
    Ok(json!({ "folder": folder, "stages": stages.collect::<Vec<_>>() }))
}

fn print_run(data: &RunData) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", table(data))?;
    for sentence in verdict(data).into_iter().chain(claims(data)) {
        writeln!(out, "{sentence}")?;
    }
    Ok(())
}

fn report(runs: &[std::path::PathBuf], json: bool, to: Option<&Path>) -> Result<ExitCode, Failure> {
    let (mut summaries, mut texts) = (Vec::new(), Vec::new());
    for folder in runs {
        let stages = DataReport::folders(folder)?;
        if !stages.is_empty() {
            summaries.push(report_data(folder, &stages, json)?);
            continue;
        }
        let data = RunData::read(folder)?;
        let path = write_html(&data)?;
        texts.push(markdown(&data));
        if json {
            summaries.push(json!(data.summary));
        } else {
            writeln!(std::io::stdout(), "{}", folder.display())?;
            print_run(&data)?;
            say!("report: {}", path.display());
        }
    }
    if json {
        print_json(&json!(summaries))?;
    }
    if let Some(to) = to {
        write_atomic(to, texts.join("\n").as_bytes())?;
        say!("written: {}", to.display());
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    writeln!(std::io::stdout().lock(), "{value:#}")?;
    Ok(())
}

fn print_plan(recipe: &Path, set: &[String], engine: &EngineChoice, json: bool) -> Result<ExitCode, Failure> {
    if let Some(pipeline) = pipeline(recipe, set)? {
        return plan_pipeline(&pipeline, json);
    }
    let rows = plan(load(recipe, set)?)?.rows(engine.isa()?);
    if json {
        print_json(&json!({ "stages": rows }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = rows.iter().map(|row| row.stage.len()).max().unwrap_or(0);
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:width$}  {:>6}  {:>7}  {:>7}  {:>7}  {:>7}  {:>7}  what",
        "stage", "steps", "tokens", "weights", "FLOPs", "memory", "disk"
    )?;
    for row in &rows {
        writeln!(out, "{}", plan_line(row, width))?;
    }
    let sum = |f: fn(&PlanRow) -> f64| rows.iter().map(f).sum::<f64>();
    let peak = rows.iter().map(|row| row.memory_bytes).max().unwrap_or(0);
    writeln!(
        out,
        "in all {} FLOPs, at most {}B of memory and {}B of disk; tokens of text are an estimate",
        short(sum(|row| row.flops)),
        short(peak as f64),
        short(sum(|row| row.disk_bytes as f64))
    )?;
    Ok(ExitCode::SUCCESS)
}

fn plan_line(row: &PlanRow, width: usize) -> String {
    let [steps, tokens, weights, flops] =
        [row.steps as f64, row.tokens as f64, row.parameters as f64, row.flops].map(short);
    let [memory, disk] = [row.memory_bytes as f64, row.disk_bytes as f64].map(short);
    format!(
        "{:width$}  {steps:>6}  {tokens:>7}  {weights:>7}  {flops:>7}  {memory:>7}  {disk:>7}  {}",
        row.stage, row.what
    )
}

/// 1.2k, 3.4M; a dash for what does not apply.
fn short(x: f64) -> String {
    if x == 0.0 {
        return "-".to_owned();
    }
    for (limit, unit) in [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if x >= limit {
            return format!("{:.1}{unit}", x / limit);
        }
    }
    format!("{x}")
}

fn print_findings(path: &Path, workload: Workload, json: bool) -> Result<ExitCode, Failure> {
    let findings = inspect(path, workload)?;
    let damaged = findings.iter().filter(|f| f.details.is_err()).count();
    if json {
        let list: Vec<_> = findings
            .iter()
            .map(|f| {
                let (whole, text) = match &f.details {
                    Ok(text) => (true, text),
                    Err(text) => (false, text),
                };
                let mut finding = json!({ "path": f.path, "kind": f.kind, "whole": whole, "details": text });
                if let Some(facts) = &f.facts {
                    finding["facts"] = facts.clone();
                }
                finding
            })
            .collect();
        print_json(&json!(list))?;
    } else {
        let mut out = std::io::stdout().lock();
        for f in &findings {
            match &f.details {
                Ok(text) => writeln!(out, "{}: {}: {text}", f.path.display(), f.kind)?,
                Err(text) => writeln!(out, "{}: {}: NOT WHOLE: {text}", f.path.display(), f.kind)?,
            }
        }
    }
    if damaged > 0 {
        let message = format!("{damaged} of {} things here are not whole", findings.len());
        return Err(Failure::request(message));
    }
    Ok(ExitCode::SUCCESS)
}

fn convert_model(request: &ConvertRequest, json: bool) -> Result<ExitCode, Failure> {
    let done = convert(request)?;
    let out = request.out.display();
    if json {
        let Converted { family, dtype, n_weights, vocab_size } = done;
        let out = out.to_string();
        let facts =
            json!({ "out": out, "family": family, "dtype": dtype, "weights": n_weights, "vocab_size": vocab_size });
        print_json(&facts)?;
    } else {
        let entries = done.vocab_size.map_or("no tokenizer".to_owned(), |n| format!("tokenizer of {n} entries"));
        let (family, n_weights, dtype) = (&done.family, done.n_weights, &done.dtype);
        writeln!(std::io::stdout(), "{out}: {family}, {n_weights} weights in {dtype}, {entries}")?;
    }
    Ok(ExitCode::SUCCESS)
}
