//! `tutelage data mix` and `data export`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;
use tutelage_recipe::EngineChoice;
use tutelage_recipe::corpus::{
    ExportFormat, MixReport, Outcome, PhaseReport, StageName, StageRequest, data_stage, export_shard, export_texts,
};

use crate::commands::{print_json, stop_flag};
use crate::data::{StageArgs, ended};
use crate::failure::Failure;
use crate::progress::Progress;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// .bin and .idx
    Megatron,
    /// .ds, .ds.index, .ds.metadata; datatrove's too
    Nanotron,
    /// Chunks with index.json, which litgpt reads
    Litdata,
    /// Token files with a head of 1,024 bytes; modded-nanogpt's too
    Llmc,
    /// Documents, with text, id and meta
    Parquet,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// A shard (NAME of NAME.bin), or documents
    input: PathBuf,
    /// Whose files they become
    #[arg(long, value_enum)]
    format: Format,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Bytes of a chunk (litdata; 64 MiB), tokens of a file (llmc; 100,000,000), bytes of text of a file (parquet; 1 GiB)
    #[arg(long, value_name = "N")]
    size: Option<u64>,
    /// Field of JSONL that holds the text (parquet)
    #[arg(long, default_value = "text")]
    text_field: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn mix(args: &StageArgs, engine: &EngineChoice) -> Result<ExitCode, Failure> {
    let StageArgs { inputs, out, set, shard, json } = args;
    let request = StageRequest { stage: StageName::Mix, inputs, out, set, shard: *shard };
    let stop = stop_flag()?;
    let mut progress = Progress::new();
    let outcome = data_stage(&request, engine, &mut progress, &stop)?;
    drop(progress);
    if *json || outcome == Outcome::Stopped {
        return ended(outcome, out, *json);
    }
    print_mix(&tutelage_run::read_json(&out.join("mix.json"))?)?;
    Ok(ExitCode::SUCCESS)
}

fn print_mix(report: &MixReport) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:14} {:14} {:>10} {:>14} {:>7} {:>7}", "phase", "source", "documents", "tokens", "", "passes")?;
    for phase in report.phases.iter().chain(&report.heldout) {
        let PhaseReport { name, documents, tokens, .. } = phase;
        writeln!(out, "{name:14} {:14} {documents:>10} {tokens:>14}", "")?;
        for (source, counts) in &phase.sources {
            let (share, epochs) = (100.0 * counts.share, counts.epochs);
            let (documents, tokens) = (counts.documents, counts.tokens);
            write!(out, "{:14} {source:14} {documents:>10} {tokens:>14} {share:>5.1} % {epochs:>7.2}", "")?;
            match counts.short_tokens {
                0 => writeln!(out)?,
                short => writeln!(out, "  {short} in short documents")?,
            }
        }
        if let (Some(stream), Some(best_fit)) = (phase.stream, phase.best_fit) {
            writeln!(
                out,
                "{:14} sequences of {}: {} documents cut as a stream; {} with best fit, {:.2} % empty",
                "",
                phase.seq_len,
                stream.cut_documents,
                best_fit.cut_documents,
                100.0 * best_fit.padding
            )?;
        }
    }
    for (name, source) in &report.sources {
        let unused = source.unused_tokens;
        writeln!(
            out,
            "source {name}: {} tokens, {unused} of them not drawn, {:.2} passes",
            source.tokens, source.epochs
        )?;
    }
    Ok(())
}

pub(crate) fn export(args: &ExportArgs) -> Result<ExitCode, Failure> {
    let ExportArgs { input, format, out, size, text_field, json } = args;
    let format = match format {
        Format::Megatron => ExportFormat::Megatron,
        Format::Nanotron => ExportFormat::Nanotron,
        Format::Litdata => ExportFormat::Litdata,
        Format::Llmc => ExportFormat::Llmc,
        Format::Parquet => {
            let stop = stop_flag()?;
            let mut progress = Progress::new();
            let inputs = [input.clone()];
            let outcome = export_texts(&inputs, out, text_field, *size, &mut progress, &stop)?;
            drop(progress);
            return ended(outcome, out, *json);
        }
    };
    let found = export_shard(input, format, out, *size)?;
    if *json {
        print_json(&json!(found))?;
    } else {
        writeln!(
            std::io::stdout(),
            "{}: {} tokens of {} documents in {} files",
            out.display(),
            found.tokens,
            found.documents,
            found.files
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
