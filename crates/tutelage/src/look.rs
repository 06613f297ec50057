//! `tutelage data stats`, `sample` and `diff`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use tutelage_recipe::corpus::{
    Bin, Change, Diff, Fate, JobSettings, Sample, Stats, diff, sample as draw, stats as count,
};

use crate::commands::print_json;
use crate::failure::Failure;
use crate::progress::Progress;

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Files, folders of files, or folders that a stage wrote
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Field of JSONL that holds the text
    #[arg(long, default_value = "text")]
    text_field: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    /// Files, folders of files, or folders that a stage wrote
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// How many documents
    #[arg(short, long, default_value_t = 5)]
    n: usize,
    /// Only documents that were dropped for this reason, of a folder 'dropped'
    #[arg(long, value_name = "REASON")]
    dropped: Option<String>,
    /// Of the draw
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Characters of each text that are shown; 0 for all
    #[arg(long, default_value_t = 600)]
    chars: usize,
    /// Field of JSONL that holds the text
    #[arg(long, default_value = "text")]
    text_field: String,
    /// Print the documents as JSONL
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// What a stage read
    before: PathBuf,
    /// The folder that it wrote
    after: PathBuf,
    /// Documents shown of each kind and reason
    #[arg(short, long, default_value_t = 3)]
    n: usize,
    /// Characters of each text that are shown; 0 for all
    #[arg(long, default_value_t = 400)]
    chars: usize,
    /// Field of JSONL that holds the text
    #[arg(long, default_value = "text")]
    text_field: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn reading(text_field: &str) -> JobSettings {
    JobSettings { text_field: text_field.to_owned(), ..JobSettings::default() }
}

pub(crate) fn stats(args: &StatsArgs) -> Result<ExitCode, Failure> {
    let found = count(&args.inputs, &reading(&args.text_field), &mut Progress::new())?;
    match args.json {
        true => print_json(&json!(found))?,
        false => print_stats(&found)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print_stats(stats: &Stats) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let Stats { documents, pages, bytes, chars, words, longest, .. } = stats;
    let mean = *chars as f64 / (*documents).max(1) as f64;
    writeln!(out, "documents  {documents}")?;
    if *pages > 0 {
        writeln!(out, "pages      {pages}, whose text 'data format' takes out")?;
    }
    writeln!(out, "text       {:.1} MB, {chars} characters, {words} words", *bytes as f64 / 1e6)?;
    writeln!(out, "length     {mean:.0} characters on average, {longest} at most")?;
    print_bins(&mut out, &stats.lengths, "characters")?;
    for (title, counts) in
        [("damaged", &stats.damaged), ("language", &stats.languages), ("dropped for", &stats.reasons)]
    {
        let mut counts: Vec<_> = counts.iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (name, count) in counts {
            writeln!(out, "{title}  {count:>10}  {name}")?;
        }
    }
    for (host, count) in &stats.hosts {
        writeln!(out, "host  {count:>10}  {host}")?;
    }
    if !stats.copies.is_empty() {
        print_bins(&mut out, &stats.copies, "copies")?;
    }
    Ok(())
}

fn print_bins(out: &mut impl Write, bins: &[Bin], what: &str) -> Result<(), Failure> {
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(1).max(1);
    for Bin { from, to, count } in bins {
        let bar = "#".repeat((40 * count).div_ceil(most) as usize);
        writeln!(out, "  {from:>8} to {:>8} {what}  {count:>9}  {bar}", to - 1)?;
    }
    Ok(())
}

pub(crate) fn sample(args: &SampleArgs) -> Result<ExitCode, Failure> {
    let found = draw(&args.inputs, &reading(&args.text_field), args.n, args.dropped.as_deref(), args.seed)?;
    let mut out = std::io::stdout().lock();
    for Sample { file, place, document, text } in &found {
        if args.json {
            writeln!(out, "{}", document.get())?;
            continue;
        }
        writeln!(out, "--- {file}, {place}: {} characters", text.chars().count())?;
        writeln!(out, "{}", shortened(text, args.chars))?;
    }
    if found.is_empty() {
        eprintln!(
            "no document there{}",
            args.dropped.as_ref().map_or(String::new(), |r| format!(" was dropped for '{r}'"))
        );
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn compare(args: &DiffArgs) -> Result<ExitCode, Failure> {
    let DiffArgs { before, after, n, chars, text_field, json } = args;
    let found = diff(std::slice::from_ref(before), after, &reading(text_field), *n)?;
    match json {
        true => print_json(&json!(found))?,
        false => print_diff(&found, after, *chars)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print_diff(diff: &Diff, after: &Path, chars: usize) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let Diff { same, changed, dropped, added, without_id, changes } = diff;
    writeln!(out, "{}: {same} the same, {changed} changed, {dropped} dropped, {added} new", after.display())?;
    if *without_id > 0 {
        writeln!(out, "{without_id} documents have no id and cannot be matched; 'data format' gives them one")?;
    }
    for Change { id, fate, before, after } in changes {
        match fate {
            Fate::Changed => {
                writeln!(out, "--- {id}: changed")?;
                print_lines(&mut out, before, after, chars)?;
            }
            Fate::Dropped(reason) => {
                let reason = reason.as_deref().unwrap_or("(keep_dropped=true would tell why)");
                writeln!(out, "--- {id}: dropped, {reason}")?;
                writeln!(out, "{}", shortened(before, chars))?;
            }
        }
    }
    Ok(())
}

/// The lines that are not the same, with what was before and what is after.
fn print_lines(out: &mut impl Write, before: &str, after: &str, chars: usize) -> Result<(), Failure> {
    let diff = similar::TextDiff::from_lines(before, after);
    let mut shown = 0;
    for change in diff.iter_all_changes() {
        let sign = match change.tag() {
            similar::ChangeTag::Equal => continue,
            similar::ChangeTag::Delete => '-',
            similar::ChangeTag::Insert => '+',
        };
        let line = change.value().trim_end_matches('\n');
        writeln!(out, "{sign} {}", shortened(line, chars))?;
        shown += line.chars().count();
        if chars > 0 && shown > chars {
            writeln!(out, "  ...")?;
            break;
        }
    }
    Ok(())
}

fn shortened(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) if chars > 0 => format!("{} ...", &text[..end]),
        _ => text.to_owned(),
    }
}
